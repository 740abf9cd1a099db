"""Readings of a node, from INFO, and the rates between two of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from valkeykit.url import Node
from valkeykit.vocabulary import NodeRole

from valkeykit_ops.nodes import replicas_of
from valkeykit_ops.stats.slow_log import SlowEntry


@dataclass(frozen=True)
class Reading:
    """The state of a node at one moment.

    Attributes:
        when: Seconds of a monotonic clock.
        commands, hits, misses, evicted, expired, rejected: Counters since the server's start.
        cpu_user, cpu_sys: CPU seconds of the command thread.
        memory, resident: Bytes.
        maxmemory: Bytes; 0 for no limit.
        keys: Number of keys by database.
        lag: Replication lag in seconds; on a primary that of its slowest replica; None without replication.
        slow: Number of entries ever added to the slow log.
        ping: Median in seconds.
        clock: The server's clock, in seconds since the epoch.
    """

    node: Node
    when: float
    role: NodeRole
    version: str
    policy: str
    commands: int
    hits: int
    misses: int
    evicted: int
    expired: int
    rejected: int
    cpu_user: float
    cpu_sys: float
    memory: int
    resident: int
    maxmemory: int
    keys: Mapping[str, int]
    clients: int
    blocked: int
    lag: float | None
    slow: int
    ping: float
    clock: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of the command thread."""
        return self.cpu_user + self.cpu_sys

    @property
    def fragmentation(self) -> float:
        """Resident per used memory."""
        return self.resident / self.memory if self.memory else 0.0


@dataclass(frozen=True)
class Figures:
    """The activity of a node between two readings.

    Attributes:
        window: Seconds between the readings.
        operations, evicted, expired: Per second, in the window.
        hit_rate: In the window; None without reads.
        cpu: Share of one core, in the window.
        memory, maxmemory: Bytes.
        lag: Seconds.
        slow: Number of slow commands in the last minute.
        minute: Operations per second in the last minute, or since the start if that is shorter.
        minute_window: Its seconds.
        slow_log: The latest slow commands of the last minute.
    """

    node: str
    role: NodeRole
    version: str
    operations: float
    hit_rate: float | None
    evicted: float
    expired: float
    cpu: float
    memory: int
    maxmemory: int
    fragmentation: float
    keys: int
    clients: int
    blocked: int
    lag: float | None
    slow: int
    ping_ms: float
    window: float
    minute: float = 0.0
    minute_window: float = 0.0
    slow_log: list[SlowEntry] = field(default_factory=list)
    big: list[tuple[str, int]] = field(default_factory=list)
    hot: list[tuple[str, int]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def read(node: Node, info: Mapping[str, Any], when: float, *, slow: int, ping: float) -> Reading:
    """Create a reading from INFO."""
    databases = {key: value for key, value in info.items() if key.startswith("db") and isinstance(value, dict)}
    cpu_user, cpu_sys = _cpu_times(info)
    return Reading(
        node=node,
        when=when,
        role="replica" if info.get("role") == "slave" else "primary",
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        policy=str(info.get("maxmemory_policy", "")),
        commands=int(info.get("total_commands_processed", 0)),
        hits=int(info.get("keyspace_hits", 0)),
        misses=int(info.get("keyspace_misses", 0)),
        evicted=int(info.get("evicted_keys", 0)),
        expired=int(info.get("expired_keys", 0)),
        rejected=int(info.get("rejected_connections", 0)),
        cpu_user=cpu_user,
        cpu_sys=cpu_sys,
        memory=int(info.get("used_memory", 0)),
        resident=int(info.get("used_memory_rss", 0)),
        maxmemory=int(info.get("maxmemory", 0)),
        keys={name: int(one.get("keys", 0)) for name, one in databases.items()},
        clients=int(info.get("connected_clients", 0)),
        blocked=int(info.get("blocked_clients", 0)),
        lag=_lag(info),
        slow=slow,
        ping=ping,
        clock=float(info.get("server_time_usec", 0)) / 1e6 or time.time(),
    )


def between(before: Reading, after: Reading) -> Figures:
    """The activity between two readings. After a restart of the server, counters start at zero."""
    seconds = max(after.when - before.when, 1e-9)

    def rate(name: str) -> float:
        old, new = getattr(before, name), getattr(after, name)
        return float(new - old if new >= old else new) / seconds

    hits, misses = rate("hits"), rate("misses")
    return Figures(
        node=str(after.node),
        role=after.role,
        version=after.version,
        operations=rate("commands"),
        hit_rate=hits / (hits + misses) if hits + misses else None,
        evicted=rate("evicted"),
        expired=rate("expired"),
        cpu=rate("cpu"),
        memory=after.memory,
        maxmemory=after.maxmemory,
        fragmentation=after.fragmentation,
        keys=sum(after.keys.values()),
        clients=after.clients,
        blocked=after.blocked,
        lag=after.lag,
        slow=max(after.slow - before.slow, 0),
        ping_ms=after.ping * 1000,
        window=seconds,
    )


def cpu_of(info: Mapping[str, Any]) -> float:
    """CPU seconds of the command thread; of the process if the server does not report it."""
    return sum(_cpu_times(info))


def _cpu_times(info: Mapping[str, Any]) -> tuple[float, float]:
    if "used_cpu_user_main_thread" in info:
        return float(info["used_cpu_user_main_thread"]), float(info["used_cpu_sys_main_thread"])
    return float(info.get("used_cpu_user", 0)), float(info.get("used_cpu_sys", 0))


def _lag(info: Mapping[str, Any]) -> float | None:
    if info.get("role") == "slave":
        return float(info.get("master_last_io_seconds_ago", -1))
    lags = [float(one.get("lag", 0)) for one in replicas_of(info)]
    return max(lags) if lags else None
