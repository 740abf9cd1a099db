"""Snapshot of a server after the login. Nothing is written: probed commands are queued and discarded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import AskError, MovedError, NoPermissionError, RedisError, ResponseError
from valkeykit.connection import mode_of
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.stats.reading import cpu_of

PING_COUNT = 20
PING_SECONDS = 0.4
"""Number of PINGs that measure the latency, and their time limit."""

CPU_INTERVAL_SECONDS = 0.25
"""Interval over which the CPU time is measured."""

PROBE_KEY = "valkeykit:doctor"
"""Key of the probed commands; it is never written."""

_WRITE = ("SET", PROBE_KEY, "1", "EX", "1")

REQUIRED_COMMANDS: dict[str, tuple[str, ...]] = {
    "GET": ("GET", PROBE_KEY),
    "SET": _WRITE,
    "DEL": ("DEL", PROBE_KEY),
    "EVAL": ("EVAL", "return 1", "1", PROBE_KEY),
    "EVALSHA": ("EVALSHA", "0" * 40, "1", PROBE_KEY),
    "HSET": ("HSET", PROBE_KEY, "a", "1"),
    "ZADD": ("ZADD", PROBE_KEY, "1", "a"),
    "LPUSH": ("LPUSH", PROBE_KEY, "a"),
    "BLMOVE": ("BLMOVE", PROBE_KEY, PROBE_KEY, "LEFT", "RIGHT", "1"),
}
"""Commands that cache and queue need."""

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


@dataclass
class Snapshot:
    """The state of a server.

    Attributes:
        info: INFO of all sections; empty if it is not permitted.
        is_probed: Whether write, missing and dangerous are known.
        write: The error of a write, None if it succeeds.
        missing, dangerous: The REQUIRED_COMMANDS that are rejected and the DANGEROUS_COMMANDS that are permitted.
        config: Settings; empty if CONFIG GET is not permitted.
        cluster, slots: CLUSTER INFO and CLUSTER SLOTS of a cluster node.
        pings: Seconds.
        cpu: Share of one core.
        slow: Latest entries of the slow log: (seconds ago, duration in seconds, command).
    """

    node: Node
    info: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    is_probed: bool = False
    write: RedisError | None = None
    missing: list[str] = field(default_factory=list)
    dangerous: list[str] = field(default_factory=list)
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
        """master or slave, as in INFO."""
        return str(self.info.get("role", "master"))

    def number(self, name: str, default: float = 0.0) -> float:
        """A field of INFO or a setting as a number."""
        value = self.info.get(name, self.config.get(name, default))
        try:
            return float(value)
        except (TypeError, ValueError):
            return default


def take_snapshot(settings: ConnectionSettings, node: Node) -> Snapshot:
    """Log in and take a snapshot.

    Raises:
        RedisError: The login or the first PING is rejected.
    """
    with deployment.client_of(settings, node) as client:
        return _collect(client, node)


def _collect(client: Redis, node: Node) -> Snapshot:
    snapshot = Snapshot(node)
    with contextlib.suppress(NoPermissionError):
        client.ping()
    snapshot.info, when = _allowed(client, "INFO", "everything") or {}, time.monotonic()
    snapshot.user = str(_allowed(client, "ACL WHOAMI") or "")
    if snapshot.mode == "sentinel":
        return snapshot
    answers = _queued(client, REQUIRED_COMMANDS | DANGEROUS_COMMANDS)
    snapshot.is_probed = bool(answers)
    if answers:
        snapshot.write = next((answers[name] for name in REQUIRED_COMMANDS if _stops_writes(answers[name])), None)
        snapshot.missing = [name for name in REQUIRED_COMMANDS if _is_refused(answers[name])]
        snapshot.dangerous = [name for name in DANGEROUS_COMMANDS if answers[name] is None]
    snapshot.config = _allowed(client, "CONFIG GET", "*") or {}
    if snapshot.mode == "cluster":
        snapshot.cluster = _allowed(client, "CLUSTER INFO") or {}
        with contextlib.suppress(ResponseError):
            snapshot.slots = deployment.slots_of(client)
    snapshot.pings = _ping(client)
    snapshot.slow = _slow(client)
    time.sleep(max(0.0, CPU_INTERVAL_SECONDS - (time.monotonic() - when)))
    later = _allowed(client, "INFO", "cpu") or {}
    if later and snapshot.info:
        elapsed = time.monotonic() - when
        snapshot.cpu = (cpu_of(later) - cpu_of(snapshot.info)) / elapsed
    return snapshot


def _allowed(client: Redis, *command: str) -> Any:
    """The reply; None if the command is not permitted or unknown."""
    try:
        return client.execute_command(*command)
    except ResponseError:
        return None


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


def _is_refused(answer: RedisError | None) -> bool:
    return isinstance(answer, NoPermissionError) or "unknown command" in str(answer).lower()


def _stops_writes(answer: RedisError | None) -> bool:
    """Whether the error is a state of the server, not a permission or a redirect."""
    return answer is not None and not _is_refused(answer) and not isinstance(answer, MovedError | AskError)


def _ping(client: Redis) -> list[float]:
    seconds: list[float] = []
    end = time.monotonic() + PING_SECONDS
    while len(seconds) < PING_COUNT and time.monotonic() < end:
        began = time.perf_counter()
        try:
            client.ping()
        except ResponseError:
            return []
        seconds.append(time.perf_counter() - began)
    return seconds


def _slow(client: Redis) -> list[tuple[float, float, str]]:
    entries = deployment.run_raw(client, "SLOWLOG", "GET", "10")
    if isinstance(entries, RedisError):
        return []
    now = time.time()
    return [(now - float(entry[1]), float(entry[2]) / 1e6, _text(entry[3][0]).upper()) for entry in entries if entry[3]]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
