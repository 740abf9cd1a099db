"""One node's figures, from one INFO; rates are the difference of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from valkeykit.ops.nodes import replicas_of
from valkeykit.url import Node


@dataclass(frozen=True)
class Reading:
    """What a node said at a moment. when: seconds of a steady clock. ping: median in seconds.

    Counters are since the server's start: commands, hits, misses, evicted, expired, cpu (seconds of the thread that
    runs commands), slow (entries the slow log was ever given). Memory in bytes; maxmemory 0 where there is no limit.
    lag: seconds since a replica heard of its primary, or of the slowest replica of a primary; None without any.
    """

    node: Node
    when: float
    role: str
    version: str
    policy: str
    commands: int
    hits: int
    misses: int
    evicted: int
    expired: int
    rejected: int
    cpu: float
    memory: int
    resident: int
    maxmemory: int
    keys: int
    clients: int
    blocked: int
    lag: float | None
    slow: int
    ping: float

    @property
    def fragmentation(self) -> float:
        """Resident memory against what is used."""
        return self.resident / self.memory if self.memory else 0.0


@dataclass(frozen=True)
class Figures:
    """A node between two readings. Rates are a second; cpu a share of one core; hit_rate None without reads."""

    node: str
    role: str
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
    big: list[tuple[str, int]] = field(default_factory=list)
    hot: list[tuple[str, int]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def read(node: Node, info: Mapping[str, Any], when: float, *, slow: int, ping: float) -> Reading:
    """A reading from the answer to INFO."""
    databases = [value for key, value in info.items() if key.startswith("db") and isinstance(value, dict)]
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
        cpu=cpu_of(info),
        memory=int(info.get("used_memory", 0)),
        resident=int(info.get("used_memory_rss", 0)),
        maxmemory=int(info.get("maxmemory", 0)),
        keys=sum(int(one.get("keys", 0)) for one in databases),
        clients=int(info.get("connected_clients", 0)),
        blocked=int(info.get("blocked_clients", 0)),
        lag=_lag(info),
        slow=slow,
        ping=ping,
    )


def between(before: Reading, after: Reading) -> Figures:
    """The rates. A server that was started anew in between counts from zero."""
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
        keys=after.keys,
        clients=after.clients,
        blocked=after.blocked,
        lag=after.lag,
        slow=max(after.slow - before.slow, 0),
        ping_ms=after.ping * 1000,
    )


def cpu_of(info: Mapping[str, Any]) -> float:
    """Seconds of CPU time of the thread that runs commands; of the process where the server doesn't tell."""
    if "used_cpu_user_main_thread" in info:
        return float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"])
    return float(info.get("used_cpu_user", 0)) + float(info.get("used_cpu_sys", 0))


def _lag(info: Mapping[str, Any]) -> float | None:
    if info.get("role") == "slave":
        return float(info.get("master_last_io_seconds_ago", -1))
    lags = [float(one.get("lag", 0)) for one in replicas_of(info)]
    return max(lags) if lags else None
