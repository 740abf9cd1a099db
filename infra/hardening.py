"""Hardening: the directives and the users of every server, with their reasons.

Each target renders what it supports of `DIRECTIVES` and `USERS`. `gaps` lists the rest for the operator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from valkeykit import vocabulary

Workload = vocabulary.Workload
Target = vocabulary.Target
Topology = vocabulary.DeploymentTopology


@dataclass(frozen=True)
class Directive:
    """One directive of valkey.conf. Self-hosted servers support all of them."""

    name: str
    value: str | Mapping[Workload, str]
    """For all workloads, or one for each."""
    reason: str
    live: bool = True
    """Whether it can be changed on a running server."""
    clouds: tuple[Target, ...] = ()
    """The managed services that support it; the others decide themselves."""

    def for_workload(self, workload: Workload) -> str:
        return self.value if isinstance(self.value, str) else self.value[workload]

    def is_supported_by(self, target: Target) -> bool:
        return target in SELF_HOSTED or target in self.clouds


SELF_HOSTED: tuple[Target, ...] = ("embedded", "docker")

DIRECTIVES: tuple[Directive, ...] = (
    Directive(
        "maxmemory-policy",
        {"cache": "allkeys-lru", "queue": "noeviction", "mixed": "volatile-lru"},
        "a cache evicts the least used keys; an evicted job is a lost job",
        clouds=("aws", "gcp"),
    ),
    Directive("maxmemory-clients", "10%", "slow readers cannot use up the memory for data", clouds=("gcp",)),
    Directive("maxclients", "10000", "a connection leak in one application is bounded", clouds=("gcp",)),
    Directive("tcp-keepalive", "300", "connections of vanished peers are closed", clouds=("aws",)),
    Directive("protected-mode", "yes", "anonymous clients are rejected even if the ACL file is lost"),
    Directive("enable-protected-configs", "no", "no client can change the data directory or the ACL file", live=False),
    Directive("enable-debug-command", "no", "DEBUG can stop the server", live=False),
    Directive("enable-module-command", "no", "MODULE LOAD runs arbitrary code", live=False),
    Directive("hide-user-data-from-log", "yes", "keys and values are not logged"),
    Directive("appendonly", "yes", "a crash loses at most a second of writes, and a cache restarts warm"),
    Directive("appendfsync", "everysec", "the usual balance of durability and speed"),
    Directive("aof-load-truncated", "yes", "a write that a crash truncated does not prevent a restart"),
    Directive(
        "aof-timestamp-enabled",
        "yes",
        "shows which of two nodes has the later data; allows point-in-time recovery with valkey-check-aof "
        "--truncate-to-timestamp",
    ),
    Directive("save", "3600 1", "an hourly snapshot for backups; the append-only file covers the rest"),
    Directive(
        "stop-writes-on-bgsave-error",
        {"cache": "no", "queue": "yes", "mixed": "yes"},
        "jobs that cannot be saved are rejected; a cache continues",
    ),
    Directive("slowlog-log-slower-than", "10000", "SLOWLOG GET lists commands over 10 ms", clouds=("aws", "gcp")),
    Directive("slowlog-max-len", "512", "enough entries to see a pattern", clouds=("aws",)),
    Directive("latency-monitor-threshold", "100", "LATENCY DOCTOR has data after an incident"),
    Directive("loglevel", "notice", "relevant messages without noise"),
    Directive(
        "client-output-buffer-limit",
        "normal 268435456 134217728 60 replica 268435456 67108864 60 pubsub 33554432 8388608 60",
        "a stuck reader is disconnected before memory runs out",
        clouds=("aws",),
    ),
)

POLICY_PREFIX: Mapping[Workload, str] = {"cache": "allkeys-", "queue": "noeviction", "mixed": "volatile-"}
"""How the eviction policies begin that suit a workload."""

TLS_GAP = (
    "connections are not encrypted: the server of the PyPI package is built without TLS; it listens on loopback only"
)


@dataclass(frozen=True)
class User:
    name: str
    rules: str
    """In the format of an ACL file, without the password."""
    purpose: str
    topologies: tuple[Topology, ...] = ("single", "replicated", "cluster")


TLS_PROTOCOLS = '"TLSv1.2 TLSv1.3"'
"""The versions of TLS that servers and Sentinels accept, as in valkey.conf."""

ADMIN = "admin"
MONITOR = "monitor"
REPLICA = "replica"
SENTINEL = "sentinel"
CLUSTER = "cluster"
HEALTH = "health"
NODE = "node"
EXPORTER = "exporter"

USERS: tuple[User, ...] = (
    User(
        "app",
        # INFO and CLIENT LIST: the common queue libraries fail without them. ROLE: clients such as valkey-go verify
        # a primary that a Sentinel returned (INFO contains the same).
        "~* &* +@all -@admin -@dangerous +info +client|list +role",
        "applications: every data command, but none that stops or empties a server",
    ),
    User(ADMIN, "~* &* +@all", "operators: configuration, backup, migration"),
    User(
        MONITOR,
        "%R~* resetchannels -@all +ping +info +dbsize +slowlog|get +slowlog|len +slowlog|help "
        "+latency|latest +latency|history +latency|histogram +latency|doctor +memory|stats +memory|usage "
        "+memory|doctor +client|list +client|info +client|setname +client|setinfo +client|id +select +scan +type "
        "+command +acl|whoami +cluster|info +cluster|shards +role",
        "exporters and dashboards: reads metrics, never values",
    ),
)

SYSTEM_USERS: tuple[User, ...] = (
    User(
        REPLICA,
        "resetchannels -@all +psync +sync +replconf +ping +role",
        "replicas and backups: reads all data as a stream",
    ),
    User(
        SENTINEL,
        "&* -@all +ping +info +role +multi +exec +subscribe +publish +replicaof +slaveof +config|rewrite "
        "+client|setname +client|kill +script|kill",
        "Sentinels: monitor nodes and promote replicas",
        ("replicated",),
    ),
    User(
        CLUSTER,
        "resetchannels -@all +ping +info +cluster|info +cluster|nodes +cluster|meet +cluster|addslotsrange "
        "+cluster|replicate +cluster|forget +cluster|failover +cluster|set-config-epoch",
        "the process that creates and repairs a cluster",
        ("cluster",),
    ),
    User(HEALTH, "resetchannels -@all +ping", "health checks: PING only"),
    User(
        NODE,
        "resetchannels -@all +ping +info +cluster|nodes +config|set",
        "a starting node: compares its data with the other nodes, and sets its own failover priority",
    ),
    User(
        EXPORTER,
        # Anonymous clients choose the exporter's queries, so it reads metrics only: no SCAN, no TYPE, no keys.
        # No CONFIG GET either, which returns the password of replicas.
        "resetchannels -@all +ping +info +client|setname +cluster|info +slowlog|len +slowlog|get +latency|latest "
        "+latency|histogram",
        "the exporter: reads metrics, no key names and no settings",
    ),
)
"""The users of the deployment's own processes; no application gets their passwords."""

# CLIENT TRACKING: valkey-go enables it on every server; a Sentinel has no keys to track.
_QUERY_SENTINELS = (
    "&* -@all +ping +hello +auth +info +role +subscribe +psubscribe +unsubscribe +punsubscribe +client|setname "
    "+client|setinfo +client|id +client|getname +client|tracking +command +sentinel|get-master-addr-by-name "
    "+sentinel|get-primary-addr-by-name +sentinel|master +sentinel|masters +sentinel|primary +sentinel|primaries "
    "+sentinel|replicas +sentinel|slaves +sentinel|sentinels +sentinel|myid"
)

SENTINEL_USERS: tuple[User, ...] = (
    User("app", _QUERY_SENTINELS, "clients: query the primary"),
    User(MONITOR, f"{_QUERY_SENTINELS} +sentinel|ckquorum", "exporters and dashboards: whether a failover is possible"),
    User(ADMIN, "&* +@all", "operators"),
    User(SENTINEL, "&* +@all", "the other Sentinels"),
    User(
        EXPORTER,
        "resetchannels -@all +ping +info +client|setname +sentinel|masters +sentinel|sentinels +sentinel|slaves "
        "+sentinel|ckquorum",
        "the exporter: which nodes Sentinels see, and whether a failover is possible",
    ),
    User(
        HEALTH,
        "resetchannels -@all +ping +sentinel|get-primary-addr-by-name +sentinel|master",
        "health checks and starting nodes: query the primary, and when it last responded",
    ),
)
"""The users of Sentinels, which have no data."""

# Not `-@all`: when Valkey 8.1 replays MULTI and scripts from the append-only file, it drops commands that the
# default user may not run (valkey #3983). `off` alone rejects every login.
DEFAULT_USER = "user default off resetpass ~* &* +@all"


def directives(workload: Workload, maxmemory: int, target: Target) -> dict[str, str]:
    """The directives that the target supports, for a workload and `maxmemory` in bytes."""
    rendered = {
        directive.name: directive.for_workload(workload)
        for directive in DIRECTIVES
        if directive.is_supported_by(target)
    }
    return {"maxmemory": str(maxmemory), **rendered}


def topology_directives(topology: Topology, replicas: int) -> dict[str, str]:
    """The directives of a data node that depend on the topology, except for its current role."""
    if topology == "single":
        return {}
    shared = {
        "repl-diskless-sync-delay": "1",  # not 5: replicas are few, and should sync soon
        "replica-read-only": "yes",
        "replica-serve-stale-data": "yes",
    }
    if topology == "replicated":
        # After a failover the previous primary has no replicas: it rejects writes until a Sentinel demotes it.
        fence = "1" if replicas > 1 else "0"
        return {**shared, "min-replicas-to-write": fence, "min-replicas-max-lag": "10"}
    return {
        **shared,
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": "5000",  # milliseconds; a failover takes about 1.5 times as long
        "cluster-require-full-coverage": "no",  # healthy shards stay available
        "cluster-allow-replica-migration": "no",  # the layout stays as configured
    }


def node_users(topology: Topology) -> tuple[User, ...]:
    """All users of a data node."""
    return (*USERS, *(user for user in SYSTEM_USERS if topology in user.topologies))


def gaps(target: Target) -> list[str]:
    """What the target does not support of the table, a sentence each."""
    unset = [
        f"the service sets {directive.name} itself" for directive in DIRECTIVES if not directive.is_supported_by(target)
    ]
    return [TLS_GAP, *unset] if target == "embedded" else unset


def acl(passwords: Mapping[str, str], users: Sequence[User] = USERS, previous: Mapping[str, str] | None = None) -> str:
    """An ACL file for users. It contains passwords as SHA-256 hashes only.

    The hashes have no salt, so the passwords must be random: see `infra.providers.credentials`.

    Args:
        passwords: by user.
        users: of the file.
        previous: passwords that are valid too, during a rotation; empty ones are ignored.
    """
    earlier = previous or {}
    lines = []
    for user in users:
        valid = filter(None, (passwords[user.name], earlier.get(user.name)))
        lines.append(f"user {user.name} on {' '.join(f'#{_sha256(password)}' for password in valid)} {user.rules}")
    return "\n".join([DEFAULT_USER, *lines]) + "\n"


def valkey_conf(values: Mapping[str, str]) -> str:
    """The directives as valkey.conf. Values of `save` and the buffer limits have several words."""
    return "".join(f"{name} {value}\n" for name, value in values.items())


def quoted(text: str) -> str:
    """A word of valkey.conf with any printable characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
