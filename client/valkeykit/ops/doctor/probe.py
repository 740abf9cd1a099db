"""What a server that took the login says of itself. Nothing is written: commands are only queued, and discarded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import AskError, MovedError, NoPermissionError, RedisError, ResponseError

from valkeykit.connection import mode_of
from valkeykit.ops import fleet
from valkeykit.ops.stats.reading import cpu_of
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

PINGS = 20
PING_SECONDS = 0.4
"""How many PINGs measure the latency, and how long they may take."""

APART = 0.25
"""Seconds between two looks at the CPU time."""

KEY = "valkeykit:doctor"
"""The key of commands that are queued only; none is ever written."""

WRITE = ("SET", KEY, "1", "EX", "1")

NEEDED: dict[str, tuple[str, ...]] = {
    "GET": ("GET", KEY),
    "SET": WRITE,
    "DEL": ("DEL", KEY),
    "EVAL": ("EVAL", "return 1", "1", KEY),
    "EVALSHA": ("EVALSHA", "0" * 40, "1", KEY),
    "HSET": ("HSET", KEY, "a", "1"),
    "ZADD": ("ZADD", KEY, "1", "a"),
    "LPUSH": ("LPUSH", KEY, "a"),
    "BLMOVE": ("BLMOVE", KEY, KEY, "LEFT", "RIGHT", "1"),
}
"""What cache and queue can't do without."""

DANGEROUS: dict[str, tuple[str, ...]] = {
    "FLUSHALL": ("FLUSHALL",),
    "CONFIG SET": ("CONFIG", "SET", "maxmemory", "0"),
    "REPLICAOF": ("REPLICAOF", "NO", "ONE"),
    "DEBUG": ("DEBUG", "SLEEP", "0"),
    "ACL SETUSER": ("ACL", "SETUSER", "doctor"),
    "KEYS": ("KEYS", "*"),
    "MONITOR": ("MONITOR",),
}
"""What an application's user should not be able to do. SHUTDOWN isn't here: it is refused inside MULTI anyway."""


@dataclass
class Snapshot:
    """info: INFO of all sections, empty where it isn't permitted. write: what a write would be answered with.
    is_probed: whether write, lacking and excess are known.
    lacking, excess: of NEEDED and DANGEROUS. config: settings, as far as CONFIG GET is permitted.
    cluster, slots: CLUSTER INFO and CLUSTER SLOTS of a cluster's node. pings: seconds. cpu: share of one core.
    slow: (seconds since, seconds it took, command's name) of the slow log's newest entries.
    """

    node: Node
    info: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    is_probed: bool = False
    write: RedisError | None = None
    lacking: list[str] = field(default_factory=list)
    excess: list[str] = field(default_factory=list)
    config: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    slots: list[Any] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)
    cpu: float | None = None
    slow: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def mode(self) -> str:
        return mode_of(self.info)

    @property
    def role(self) -> str:
        """master or slave, in INFO's words."""
        return str(self.info.get("role", "master"))

    def number(self, name: str, default: float = 0.0) -> float:
        """A field of INFO, or a setting, as a number."""
        value = self.info.get(name, self.config.get(name, default))
        try:
            return float(value)
        except (TypeError, ValueError):
            return default


def take(settings: ConnectionSettings, node: Node) -> Snapshot:
    """Log in and look.

    Raises:
        RedisError: the login or the first PING is refused.
    """
    with fleet.client_of(settings, node) as client:
        return _look(client, node)


def _look(client: Redis, node: Node) -> Snapshot:
    seen = Snapshot(node)
    with contextlib.suppress(NoPermissionError):
        client.ping()
    seen.info, when = _allowed(client, "INFO", "everything") or {}, time.monotonic()
    seen.user = str(_allowed(client, "ACL WHOAMI") or "")
    if seen.mode == "sentinel":
        return seen
    answers = _queued(client, NEEDED | DANGEROUS)
    seen.is_probed = bool(answers)
    if answers:
        seen.write = next((answers[name] for name in NEEDED if _stops_writes(answers[name])), None)
        seen.lacking = [name for name in NEEDED if _is_refused(answers[name])]
        seen.excess = [name for name in DANGEROUS if answers[name] is None]
    seen.config = _allowed(client, "CONFIG GET", "*") or {}
    if seen.mode == "cluster":
        seen.cluster = _allowed(client, "CLUSTER INFO") or {}
        with contextlib.suppress(ResponseError):
            seen.slots = fleet.slots_of(client)
    seen.pings = _ping(client)
    seen.slow = _slow(client)
    time.sleep(max(0.0, APART - (time.monotonic() - when)))
    later = _allowed(client, "INFO", "cpu") or {}
    if later and seen.info:
        elapsed = time.monotonic() - when
        seen.cpu = (cpu_of(later) - cpu_of(seen.info)) / elapsed
    return seen


def _allowed(client: Redis, *command: str) -> Any:
    """The answer; None where the user may not ask, or the server doesn't know the command."""
    try:
        return client.execute_command(*command)
    except ResponseError:
        return None


def _queued(client: Redis, commands: Mapping[str, tuple[str, ...]]) -> dict[str, RedisError | None]:
    """Queue them in a transaction that is discarded: None where one would run, else why not.

    Nothing is sent before the server has said that it queues; where it doesn't, the answer is empty.
    """
    connection = client.connection_pool.get_connection()
    try:
        if fleet.answers(connection, [("MULTI",)])[0] not in (b"OK", "OK"):
            return {}
        answers = fleet.answers(connection, [*commands.values(), ("DISCARD",)])
    finally:
        connection.disconnect()
        client.connection_pool.release(connection)
    return {
        name: answer if isinstance(answer, RedisError) else None
        for name, answer in zip(commands, answers, strict=False)
    }


def _is_refused(answer: RedisError | None) -> bool:
    return isinstance(answer, NoPermissionError) or "unknown command" in str(answer).lower()


def _stops_writes(answer: RedisError | None) -> bool:
    """A state of the server, not a right of the user or a place of the key."""
    return answer is not None and not _is_refused(answer) and not isinstance(answer, MovedError | AskError)


def _ping(client: Redis) -> list[float]:
    seconds: list[float] = []
    end = time.monotonic() + PING_SECONDS
    while len(seconds) < PINGS and time.monotonic() < end:
        began = time.perf_counter()
        try:
            client.ping()
        except ResponseError:
            return []
        seconds.append(time.perf_counter() - began)
    return seconds


def _slow(client: Redis) -> list[tuple[float, float, str]]:
    entries = fleet.raw(client, "SLOWLOG", "GET", "10")
    if isinstance(entries, RedisError):
        return []
    now = time.time()
    return [(now - float(entry[1]), float(entry[2]) / 1e6, _text(entry[3][0]).upper()) for entry in entries if entry[3]]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
