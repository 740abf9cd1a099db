"""Permission probes: commands that are queued in a transaction and discarded, so none of them runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import AskError, MovedError, NoPermissionError, RedisError, TimeoutError  # noqa: A004

from valkeykit_ops import nodes as deployment

PROBE_KEY = "valkeykit:doctor"
"""Key of the probed commands; it is never written."""

KEY_ATTEMPTS = 5
"""Random keys that are tried for a user whose key patterns are unknown."""

DANGEROUS_COMMANDS: dict[str, tuple[str, ...]] = {
    "FLUSHALL": ("FLUSHALL",),
    "CONFIG SET": ("CONFIG", "SET", "maxmemory", "0"),
    "REPLICAOF": ("REPLICAOF", "NO", "ONE"),
    "DEBUG": ("DEBUG", "SLEEP", "0"),
    "ACL SETUSER": ("ACL", "SETUSER", "doctor"),
    "KEYS": ("KEYS", "*"),
    "MONITOR": ("MONITOR",),
}
"""Commands that an application's user should not be permitted to run. SHUTDOWN is missing since MULTI rejects it."""


def required_commands(key: str) -> dict[str, tuple[str, ...]]:
    """Commands that cache and queue need."""
    return {
        "GET": ("GET", key),
        "SET": ("SET", key, "1", "EX", "1"),
        "DEL": ("DEL", key),
        "EVAL": ("EVAL", "return 1", "1", key),
        "EVALSHA": ("EVALSHA", "0" * 40, "1", key),
        "HSET": ("HSET", key, "a", "1"),
        "ZADD": ("ZADD", key, "1", "a"),
        "LPUSH": ("LPUSH", key, "a"),
        "BLMOVE": ("BLMOVE", key, key, "LEFT", "RIGHT", "1"),
    }


@dataclass
class Probes:
    """The result of the probes.

    Attributes:
        is_known: Whether write, missing and dangerous are known.
        is_held: The server holds back writes instead of rejecting or queueing them.
        is_key_limited: No probed key matches the user's key patterns, so the state of writes is unknown.
        write: The error of a write, None if it succeeds.
        missing, dangerous: The required commands that are rejected and the DANGEROUS_COMMANDS that are permitted.
    """

    is_known: bool = False
    is_held: bool = False
    is_key_limited: bool = False
    write: RedisError | None = None
    missing: list[str] = field(default_factory=list)
    dangerous: list[str] = field(default_factory=list)


def probe(client: Redis, user: str) -> Probes:
    """Probe the user's permissions and whether writes are accepted."""
    try:
        answers = _queued(client, required_commands(PROBE_KEY) | DANGEROUS_COMMANDS)
        if not answers:
            return Probes()
        is_key_limited = any(map(_is_key_refused, answers.values()))
        if is_key_limited and (key := _permitted_key(client, user)):
            answers |= _queued(client, required_commands(key))
            is_key_limited = False
    except TimeoutError:
        client.ping()  # else the server does not respond at all
        return Probes(is_held=True)
    required = required_commands(PROBE_KEY)
    return Probes(
        is_known=True,
        is_key_limited=is_key_limited,
        write=next((answers[name] for name in required if _stops_writes(answers[name])), None),
        missing=[name for name in required if _is_refused(answers[name])],
        dangerous=[name for name in DANGEROUS_COMMANDS if answers[name] is None],
    )


def _permitted_key(client: Redis, user: str) -> str | None:
    """A key that the user may write: permissions are checked before the state of the server."""
    for key in (*_example_keys(client, user), *_random_keys(client)):
        if not _is_key_refused(_queued(client, {"SET": required_commands(key)["SET"]}).get("SET")):
            return key
    return None


def _example_keys(client: Redis, user: str) -> list[str]:
    """A key for each pattern of the user, if it may read its own rules."""
    reply = deployment.run_raw(client, "ACL", "GETUSER", user or "default")
    if isinstance(reply, RedisError):
        return []
    pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
    patterns = next((value for name, value in pairs.items() if _text(name) == "keys"), "")
    words = _text(patterns).split() if isinstance(patterns, str | bytes) else [_text(one) for one in patterns]
    return [_example(word) for word in words]


def _example(pattern: str) -> str:
    """A key that matches a pattern such as ~app:* or %RW~app:*."""
    text = re.sub(r"^(%[RW]+)?~", "", pattern)
    text = re.sub(r"\[\^?(.)[^]]*\]", r"\1", text)
    return text.replace("*", PROBE_KEY).replace("?", "x")


def _random_keys(client: Redis) -> list[str]:
    drawn = deployment.run_batch(client, [("RANDOMKEY",)] * KEY_ATTEMPTS)
    return list(dict.fromkeys(_text(one) for one in drawn if one and not isinstance(one, Exception)))


def _queued(client: Redis, commands: Mapping[str, tuple[str, ...]]) -> dict[str, RedisError | None]:
    """Queue commands in a transaction that is discarded; return None or the error for each command.

    No command is sent before the server confirms MULTI; the result is empty if it does not.
    """
    connection = client.connection_pool.get_connection()
    try:
        if deployment.request(connection, [("MULTI",)])[0] not in (b"OK", "OK"):
            return {}
        answers = deployment.request(connection, [*commands.values(), ("DISCARD",)])
    finally:
        connection.disconnect()
        client.connection_pool.release(connection)
    return {
        name: answer if isinstance(answer, RedisError) else None
        for name, answer in zip(commands, answers, strict=False)
    }


def _is_key_refused(answer: RedisError | None) -> bool:
    """Whether the user may run the command, but not with this key."""
    return isinstance(answer, NoPermissionError) and "to access" in str(answer)


def _is_refused(answer: RedisError | None) -> bool:
    """Whether the command is not permitted or unknown."""
    if "unknown command" in str(answer).lower():
        return True
    return isinstance(answer, NoPermissionError) and not _is_key_refused(answer)


def _stops_writes(answer: RedisError | None) -> bool:
    """Whether the error is a state of the server, not a permission or a redirect."""
    if answer is None or isinstance(answer, NoPermissionError | MovedError | AskError):
        return False
    return not _is_refused(answer)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
