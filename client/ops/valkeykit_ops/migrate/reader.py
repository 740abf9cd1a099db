"""Block-wise reads of keys: memory, payloads and expiry times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from valkeykit_ops.migrate import commands
from valkeykit_ops.migrate.key_usage import Usage
from valkeykit_ops.migrate.router import Router

NO_EXPIRY_MS = 0
MISSING_KEY_TTL = -2

CLOCK_GAP_MS = 1
"""Milliseconds between two readings of a clock within which an expiry time is exact enough."""

CLOCK_ATTEMPTS = 20


class Value(NamedTuple):
    """A key at one moment. expires: milliseconds since the epoch, or NO_EXPIRY_MS."""

    payload: bytes
    expires: int


class UsedValue(NamedTuple):
    """A key with its idle time or frequency; None if the server does not report it."""

    value: Value
    used: int | None


def raise_first(answers: Sequence[Any]) -> None:
    """Raise the first error among answers, if there is one."""
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer


def weights(router: Router, keys: Sequence[bytes]) -> list[int | None]:
    """Bytes of memory of each key; None for a missing key."""
    answers = router.request(keys, [commands.memory(key) for key in keys])
    raise_first(answers)
    return answers


def types(router: Router, keys: Sequence[bytes]) -> list[str]:
    """TYPE of each key; `none` for a missing key."""
    answers = router.request(keys, [commands.type_of(key) for key in keys])
    raise_first(answers)
    return [answer.decode() for answer in answers]


def values(router: Router, keys: Sequence[bytes]) -> list[Value | None]:
    """Payload and expiry time of each key; None for a missing key."""
    _request_values(router, keys)
    return _receive_values(router, keys)


def used_values(router: Router, keys: Sequence[bytes], usage: Usage | None) -> list[UsedValue | None]:
    """Like values, with the idle time or the frequency, which is read before the value."""
    if usage is None:
        return [value and UsedValue(value, None) for value in values(router, keys)]
    report, parts = commands.usage[usage], _parts(router)
    router.send(
        [key for key in keys for _ in range(len(parts) + 1)],
        [part(key) for key in keys for part in (report, *parts)],
    )
    answers = router.receive()
    used = [answer if isinstance(answer, int) else None for answer in answers[:: len(parts) + 1]]
    del answers[:: len(parts) + 1]
    rows = _values(router, keys, answers)
    return [value and UsedValue(value, number) for value, number in zip(rows, used, strict=True)]


def both(
    one: Router, keys: Sequence[bytes], other: Router, names: Sequence[bytes]
) -> tuple[list[Value | None], list[Value | None]]:
    """Like values, for both servers at the same time."""
    _request_values(one, keys)
    _request_values(other, names)
    return _receive_values(one, keys), _receive_values(other, names)


def _request_values(router: Router, keys: Sequence[bytes]) -> None:
    parts = _parts(router)
    router.send([key for key in keys for _ in parts], [part(key) for key in keys for part in parts])


def _parts(router: Router) -> Sequence[Callable[[bytes], bytes]]:
    """The commands that read a key."""
    return _PARTS if router.server.has_absolute_ttl else (commands.dump, *_PARTS_BY_CLOCK)


def _receive_values(router: Router, keys: Sequence[bytes]) -> list[Value | None]:
    return _values(router, keys, router.receive())


def _values(router: Router, keys: Sequence[bytes], answers: Sequence[Any]) -> list[Value | None]:
    raise_first(answers)
    if router.server.has_absolute_ttl:
        return [_value(payload, end) for payload, end in zip(answers[::2], answers[1::2], strict=True)]
    rows = zip(keys, answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True)
    return [_value(payload, _absolute(router, key, before, left, after)) for key, payload, before, left, after in rows]


_PARTS = (commands.dump, commands.expiry)

_PARTS_BY_CLOCK = (lambda _: commands.TIME, commands.remaining, lambda _: commands.TIME)
"""Servers before 7.0 report only the remaining time; TIME makes it absolute."""


def _absolute(router: Router, key: bytes, before: list[bytes], left: int, after: list[bytes]) -> int:
    """The expiry time, from the remaining time between two readings of the server's clock.

    Another client's command may run between them, so they are repeated until they are close together.
    """
    for _ in range(CLOCK_ATTEMPTS):
        if left < 0 or _milliseconds(after) - _milliseconds(before) <= CLOCK_GAP_MS:
            break
        answers = router.request([key] * len(_PARTS_BY_CLOCK), [part(key) for part in _PARTS_BY_CLOCK])
        raise_first(answers)
        before, left, after = answers
    return left + _milliseconds(after) if left >= 0 else left


def _milliseconds(time: list[bytes]) -> int:
    seconds, micros = time
    return int(seconds) * 1000 + int(micros) // 1000


def _value(payload: bytes | None, expires: int) -> Value | None:
    if payload is None or expires == MISSING_KEY_TTL:  # it may have expired between the two commands
        return None
    return Value(payload, max(expires, NO_EXPIRY_MS))


def expiries(router: Router, keys: Sequence[bytes]) -> list[int]:
    """Expiry time of each key; NO_EXPIRY_MS for a key without one and for a missing key."""
    if router.server.has_absolute_ttl:
        answers = router.request(keys, [commands.expiry(key) for key in keys])
        raise_first(answers)
        return [max(answer, NO_EXPIRY_MS) for answer in answers]
    answers = router.request(
        [key for key in keys for _ in _PARTS_BY_CLOCK], [part(key) for key in keys for part in _PARTS_BY_CLOCK]
    )
    raise_first(answers)
    rows = zip(keys, answers[::3], answers[1::3], answers[2::3], strict=True)
    return [max(_absolute(router, key, before, left, after), NO_EXPIRY_MS) for key, before, left, after in rows]
