"""Reads keys of one side in blocks: what they weigh, their payloads and when they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from valkeykit.ops.migrate import commands
from valkeykit.ops.migrate.router import Router

NEVER = 0
GONE = -2


class Value(NamedTuple):
    """A key as it was at one moment. expires: milliseconds since the epoch, or NEVER."""

    payload: bytes
    expires: int


def raise_first(answers: Sequence[Any]) -> None:
    """Raise the first error among answers, if there is one."""
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer


def weights(router: Router, keys: Sequence[bytes]) -> list[int | None]:
    """Bytes of memory of each key, None for one that is gone."""
    answers = router.ask(keys, [commands.memory(key) for key in keys])
    raise_first(answers)
    return answers


def types(router: Router, keys: Sequence[bytes]) -> list[str]:
    """TYPE of each key; `none` for one that is gone."""
    answers = router.ask(keys, [commands.type_of(key) for key in keys])
    raise_first(answers)
    return [answer.decode() for answer in answers]


def values(router: Router, keys: Sequence[bytes]) -> list[Value | None]:
    """The payload and the end of each key, None for one that is gone."""
    _ask_values(router, keys)
    return _take_values(router)


def both(
    one: Router, keys: Sequence[bytes], other: Router, names: Sequence[bytes]
) -> tuple[list[Value | None], list[Value | None]]:
    """As values, of both sides at the same time."""
    _ask_values(one, keys)
    _ask_values(other, names)
    return _take_values(one), _take_values(other)


def _ask_values(router: Router, keys: Sequence[bytes]) -> None:
    parts = _PARTS if router.server.has_absolute_ttl else _PARTS_BY_CLOCK
    router.send([key for key in keys for _ in parts], [part(key) for key in keys for part in parts])


def _take_values(router: Router) -> list[Value | None]:
    answers = router.receive()
    raise_first(answers)
    if router.server.has_absolute_ttl:
        return [_value(payload, end) for payload, end in zip(answers[::2], answers[1::2], strict=True)]
    return [
        _value(payload, _absolute(left, time))
        for payload, left, time in zip(answers[::3], answers[1::3], answers[2::3], strict=True)
    ]


_PARTS = (commands.dump, commands.expiry)

_PARTS_BY_CLOCK = (commands.dump, commands.remaining, lambda _: commands.TIME)
"""Servers before 7.0 say only how long a key still has; TIME beside it makes it absolute."""


def _absolute(left: int, time: list[bytes]) -> int:
    seconds, micros = time
    return left + int(seconds) * 1000 + int(micros) // 1000 if left >= 0 else left


def _value(payload: bytes | None, expires: int) -> Value | None:
    if payload is None or expires == GONE:  # it may have ended between the two commands
        return None
    return Value(payload, max(expires, NEVER))


def expiries(router: Router, keys: Sequence[bytes]) -> list[int]:
    """When each key ends, NEVER where it doesn't; a key that is gone counts as one that doesn't end."""
    if router.server.has_absolute_ttl:
        answers = router.ask(keys, [commands.expiry(key) for key in keys])
        raise_first(answers)
        return [max(answer, NEVER) for answer in answers]
    answers = router.ask(
        [key for key in keys for _ in range(2)],
        [part for key in keys for part in (commands.remaining(key), commands.TIME)],
    )
    raise_first(answers)
    return [max(_absolute(left, time), NEVER) for left, time in zip(answers[::2], answers[1::2], strict=True)]
