"""Parameters of the engine that a stack may set in addition to the hardening.

Self-hosted servers support `SELF_HOSTED`; each cloud has a list of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from valkeykit.version_numbers import parse_version

_INTEGER = 2**31 - 1
MAX_SIZE_BYTES = 2**40


@dataclass(frozen=True)
class EngineParameter:
    """One parameter and its values.

    allowed: the values in words. pattern: of a value. least, most: of a whole number.
    live: whether a running server can change it. since: the first version that has it.
    """

    allowed: str
    pattern: str
    least: int | None = None
    most: int | None = None
    live: bool = True
    since: str = ""

    def accepts(self, value: str) -> bool:
        if not re.fullmatch(self.pattern, value):
            return False
        return self.least is None or self.most is None or self.least <= int(value) <= self.most

    def exists_in(self, version: str) -> bool:
        return not self.since or parse_version(self.since) <= parse_version(version)


def number(least: int = 0, most: int = _INTEGER, *, live: bool = True, since: str = "") -> EngineParameter:
    """A whole number within limits."""
    limits = f"of at least {least}" if most in (_INTEGER, MAX_SIZE_BYTES) else f"from {least} to {most}"
    return EngineParameter(f"a whole number {limits}", r"-?\d{1,15}", least, most, live, since)


def words(*values: str, since: str = "") -> EngineParameter:
    """One of some words."""
    return EngineParameter(" or ".join(values), "|".join(map(re.escape, values)), since=since)


def switch(since: str = "") -> EngineParameter:
    return words("yes", "no", since=since)


def letters(of: str) -> EngineParameter:
    """Any combination of letters."""
    return EngineParameter(f"letters of {of}", f"[{re.escape(of)}]*")


POLICIES = words(
    *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
    "noeviction",
)
"""Values of maxmemory-policy."""

PERCENT = EngineParameter("a percentage such as 10%", r"[1-9]\d?%|100%")

SELF_HOSTED: dict[str, EngineParameter] = {
    **dict.fromkeys(
        (
            *("hash-max-listpack-entries", "hash-max-listpack-value", "hll-sparse-max-bytes"),
            *("set-max-intset-entries", "set-max-listpack-entries", "set-max-listpack-value"),
            *("zset-max-listpack-entries", "zset-max-listpack-value", "list-compress-depth"),
            *("stream-node-max-bytes", "stream-node-max-entries", "timeout", "lfu-decay-time", "lfu-log-factor"),
            *("acllog-max-len", "tracking-table-max-keys", "busy-reply-threshold", "repl-backlog-ttl"),
            *("slowlog-max-len", "latency-monitor-threshold"),
        ),
        number(),
    ),
    **dict.fromkeys(
        (
            *("activerehashing", "cluster-allow-reads-when-down", "cluster-slot-stats-enabled", "latency-tracking"),
            *("lazyfree-lazy-eviction", "lazyfree-lazy-expire", "lazyfree-lazy-server-del"),
            *("lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "rdbcompression", "extended-redis-compatibility"),
            *("hide-user-data-from-log", "stop-writes-on-bgsave-error"),
        ),
        switch(),
    ),
    **dict.fromkeys(
        ("commandlog-large-reply-max-len", "commandlog-large-request-max-len"), number(most=100_000, since="8.1")
    ),
    **dict.fromkeys(
        ("commandlog-reply-larger-than", "commandlog-request-larger-than"), number(-1, MAX_SIZE_BYTES, since="8.1")
    ),
    "active-expire-effort": number(1, 10),
    "appendfsync": words("always", "everysec", "no"),
    "client-query-buffer-limit": number(1024**2, MAX_SIZE_BYTES),
    "hz": number(1, 500),
    "io-threads": number(1, 128, live=False),
    "list-max-listpack-size": number(-5),
    "loglevel": words("debug", "verbose", "notice", "warning"),
    "maxclients": number(100, 60_000),
    "maxmemory-clients": PERCENT,
    "maxmemory-eviction-tenacity": number(0, 100),
    "maxmemory-policy": POLICIES,
    "maxmemory-samples": number(1, 64),
    "notify-keyspace-events": letters("KEglshzxetdmnA$"),
    "proto-max-bulk-len": number(1024**2, MAX_SIZE_BYTES),
    "repl-backlog-size": number(1024**2, MAX_SIZE_BYTES),
    "repl-timeout": number(10, 3600),
    "slowlog-log-slower-than": number(-1),
    "tcp-keepalive": number(),
}
"""Of valkey.conf, from version 8.0 on. What the deployment itself depends on is left out: addresses, files, users,
persistence, replication and cluster mode.
"""
