"""ElastiCache's parameters (User Guide, "Engine specific parameters"), by parameter group family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from infra.engine_parameters import MAX_SIZE_BYTES, POLICIES, EngineParameter, letters, number, switch, words
from infra.hardening import directives
from infra.settings import parameters
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.cluster_mode import cluster_mode
from infra.settings.aws.node_types import NODE_TYPES, RESERVED_PERCENT
from infra.settings.config_keys import ConfigProblem, remove_command

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings

_BUFFERS = "client-output-buffer-limit"
_SETTABLE_BUFFERS = ("normal", "pubsub")
"""The service sets the limits of replicas."""

_BUFFER_SIZES = tuple(
    f"{_BUFFERS}-{kind}-{limit}" for kind in _SETTABLE_BUFFERS for limit in ("hard-limit", "soft-limit")
)

_SHARED: dict[str, EngineParameter] = {
    **dict.fromkeys(
        (
            *("acllog-max-len", "hash-max-listpack-entries", "hash-max-listpack-value", "hll-sparse-max-bytes"),
            *("lfu-decay-time", "list-compress-depth", "min-replicas-max-lag", "min-replicas-to-write"),
            *("repl-backlog-ttl", "set-max-intset-entries", "slowlog-max-len", "stream-node-max-bytes"),
            *("stream-node-max-entries", "tcp-keepalive", "tracking-table-max-keys", "zset-max-listpack-entries"),
            *("zset-max-listpack-value", *(f"{_BUFFERS}-{kind}-soft-seconds" for kind in _SETTABLE_BUFFERS)),
        ),
        number(),
    ),
    **dict.fromkeys(_BUFFER_SIZES, number(0, MAX_SIZE_BYTES)),
    **dict.fromkeys(("active-defrag-cycle-max", "active-defrag-cycle-min"), number(1, 75)),
    **dict.fromkeys(("active-defrag-threshold-lower", "active-defrag-threshold-upper"), number(1, 100)),
    **dict.fromkeys(
        (
            *("activedefrag", "close-on-replica-write", "cluster-allow-pubsubshard-when-down"),
            *("cluster-allow-reads-when-down", "cluster-require-full-coverage", "latency-tracking"),
        ),
        switch(),
    ),
    "acl-pubsub-default": words("resetchannels", "allchannels"),
    "active-defrag-ignore-bytes": number(10_485_760, 104_857_600),
    "active-defrag-max-scan-fields": number(1, 1_000_000),
    "active-expire-effort": number(1, 10),
    "client-query-buffer-limit": number(1_048_576, 1_073_741_824),
    "cluster-preferred-endpoint-type": words("ip", "tls-dynamic"),
    "databases": number(1, 10_000),
    "lfu-log-factor": number(1),
    "maxmemory-policy": POLICIES,
    "maxmemory-samples": number(1, 64),
    "notify-keyspace-events": letters("KEg$lshzxeA"),
    "proto-max-bulk-len": number(1_048_576, 536_870_912),
    "repl-backlog-size": number(16_384, MAX_SIZE_BYTES),
    "slowlog-log-slower-than": number(-1),
    "timeout": EngineParameter("0 or a whole number from 20 to 99999999", r"0|[2-9]\d|[1-9]\d{2,7}"),
}

_UNTIL_7 = dict.fromkeys(
    (f"lazyfree-lazy-{kind}" for kind in ("eviction", "expire", "server-del", "user-del")), switch()
)
_FROM_8 = {
    "extended-redis-compatibility": switch(),
    "commandlog-large-reply-max-len": number(0, 1024, since="8.1"),
    "commandlog-large-request-max-len": number(0, 1024, since="8.1"),
    "commandlog-reply-larger-than": number(0, MAX_SIZE_BYTES, since="8.1"),
    "commandlog-request-larger-than": number(0, MAX_SIZE_BYTES, since="8.1"),
    "search-default-timeout-ms": number(1, 60_000, since="8.2"),
    "search-enable-partial-results": switch(since="8.2"),
    "search-fanout-target-mode": words("client", "throughput", since="8.2"),
}
_FROM_9 = {"cluster-databases": number(1, 10_000)}

_OF_FAMILY: dict[str, dict[str, EngineParameter]] = {
    "valkey7": {**_SHARED, **_UNTIL_7},
    "valkey8": {**_SHARED, **_FROM_8},
    "valkey9": {**_SHARED, **_FROM_8, **_FROM_9},
}

RESERVED = "reserved-memory-percent"
"""Not for the operator: the size of nodes depends on it."""

AT_CREATION = ("cluster-databases", "databases")
"""Parameters that AWS accepts only for a group that no cache uses yet."""


def supported(family: str) -> Mapping[str, EngineParameter]:
    """The parameters of a family."""
    return _OF_FAMILY[family]


def hardened(settings: StackSettings) -> dict[str, str]:
    """The part of the hardening that ElastiCache supports. `maxmemory` depends on the node type and cannot be set."""
    table = directives(settings.workload, settings.maxmemory, "aws")
    buffers = table.pop(_BUFFERS)
    del table["maxmemory"]
    return {
        **table,
        **_buffer_limits(buffers),
        "acl-pubsub-default": "resetchannels",
        RESERVED: str(RESERVED_PERCENT),
    }


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """What the version's parameter group does not support, and values that undo the hardening."""
    if settings.topology == "serverless":
        for key in ("parameters", "allowWeaker"):
            if getattr(settings, key):
                yield ConfigProblem(key, "is set, but a serverless cache has no parameters", remove_command(key))
        return
    version = settings.version if settings.version in FAMILIES else max(FAMILIES)
    unsuitable = {
        "disabled": ["cluster-databases"],
        "compatible": ["cluster-databases", "databases"],  # AWS requires that all keys are in database 0
        "enabled": ["databases"],
    }[cluster_mode(settings)]
    available = {
        name: entry
        for name, entry in supported(FAMILIES[version]).items()
        if entry.exists_in(version) and name not in unsuitable
    }
    if settings.aws.nodeType in NODE_TYPES and NODE_TYPES[settings.aws.nodeType].tiers_data:
        available["maxmemory-policy"] = words("allkeys-lru", "volatile-lru", "noeviction")
    owner = f"Valkey {version} on ElastiCache with topology {settings.topology}"
    yield from parameters.find_problems(settings, parameters.ParameterCatalogue(owner, available, hardened(settings)))


def _buffer_limits(value: str) -> dict[str, str]:
    """ElastiCache has a parameter for each word of the directive."""
    parts = value.split()
    rendered = {}
    for kind, hard, soft, seconds in zip(*(parts[start::4] for start in range(4)), strict=True):
        if kind in _SETTABLE_BUFFERS:
            rendered[f"{_BUFFERS}-{kind}-hard-limit"] = hard
            rendered[f"{_BUFFERS}-{kind}-soft-limit"] = soft
            rendered[f"{_BUFFERS}-{kind}-soft-seconds"] = seconds
    return rendered
