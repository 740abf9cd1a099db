"""Hardening: what is set on a server, why, and where it can't be.

One table, `RULES`, and one list of users, `USERS`. Each target renders from them what
it can set; what it can't is listed by `gaps` and shown to the operator.
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
class HardeningRule:
    """One directive of valkey.conf, which self-hosted servers always take."""

    directive: str
    value: str | Mapping[Workload, str]
    """For all workloads, or one for each."""
    why: str
    live: bool = True
    """Whether a running server takes a change."""
    clouds: tuple[Target, ...] = ()
    """Managed services that let it be set too; elsewhere the service decides."""

    def for_workload(self, workload: Workload) -> str:
        return self.value if isinstance(self.value, str) else self.value[workload]

    def reaches(self, target: Target) -> bool:
        return target in SELF_HOSTED or target in self.clouds


SELF_HOSTED: tuple[Target, ...] = ("embedded", "docker")

RULES: tuple[HardeningRule, ...] = (
    HardeningRule(
        "maxmemory-policy",
        {"cache": "allkeys-lru", "queue": "noeviction", "mixed": "volatile-lru"},
        "a cache evicts what is used least; an evicted job is a lost job",
        clouds=("aws", "gcp"),
    ),
    HardeningRule("maxmemory-clients", "10%", "slow readers can't take the data's memory", clouds=("gcp",)),
    HardeningRule("maxclients", "10000", "a leak of connections in one application has an end", clouds=("gcp",)),
    HardeningRule("tcp-keepalive", "300", "connections of peers that vanished are closed", clouds=("aws",)),
    HardeningRule("protected-mode", "yes", "strangers get no answer should every user be lost"),
    HardeningRule("enable-protected-configs", "no", "no client moves the data folder or the ACL file", live=False),
    HardeningRule("enable-debug-command", "no", "DEBUG can stop the server", live=False),
    HardeningRule("enable-module-command", "no", "MODULE LOAD runs any code", live=False),
    HardeningRule("hide-user-data-from-log", "yes", "keys and values stay out of the log"),
    HardeningRule("appendonly", "yes", "a crash loses a second at most, and a cache comes back warm"),
    HardeningRule("appendfsync", "everysec", "the usual balance of loss and speed"),
    HardeningRule("aof-load-truncated", "yes", "a write cut short by a crash doesn't stop the start"),
    HardeningRule(
        "aof-timestamp-enabled",
        "yes",
        "tells which of two nodes holds the later data; allows recovery to a point in time: valkey-check-aof "
        "--truncate-to-timestamp",
    ),
    HardeningRule("save", "3600 1", "a snapshot an hour for backups; the append-only file does the rest"),
    HardeningRule(
        "stop-writes-on-bgsave-error",
        {"cache": "no", "queue": "yes", "mixed": "yes"},
        "jobs that can't be saved are refused; a cache goes on",
    ),
    HardeningRule(
        "slowlog-log-slower-than", "10000", "commands over 10 ms are kept for SLOWLOG GET", clouds=("aws", "gcp")
    ),
    HardeningRule("slowlog-max-len", "512", "enough of them to see a pattern", clouds=("aws",)),
    HardeningRule("latency-monitor-threshold", "100", "LATENCY DOCTOR has something to say after an incident"),
    HardeningRule("loglevel", "notice", "what an operator needs, without noise"),
    HardeningRule(
        "client-output-buffer-limit",
        "normal 268435456 134217728 60 replica 268435456 67108864 60 pubsub 33554432 8388608 60",
        "one stuck reader is cut off before memory is gone",
        clouds=("aws",),
    ),
)

TLS_GAP = "connections are in plain text: the wheel's server is built without TLS; it answers on loopback only"


@dataclass(frozen=True)
class User:
    name: str
    rules: str
    """Without the password, in the form of an ACL file."""
    why: str
    topologies: tuple[Topology, ...] = ("single", "replicated", "cluster")


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
        # INFO and CLIENT LIST: the common queue libraries fail without them. ROLE: clients that were told of a primary
        # by a Sentinel ask it whether it is one (valkey-go does; INFO tells the same).
        "~* &* +@all -@admin -@dangerous +info +client|list +role",
        "what applications get: every data command, nothing that stops or empties a server",
    ),
    User(ADMIN, "~* &* +@all", "operators: configuration, backup, migration"),
    User(
        MONITOR,
        "%R~* resetchannels -@all +ping +info +dbsize +slowlog|get +slowlog|len +slowlog|help "
        "+latency|latest +latency|history +latency|histogram +latency|doctor +memory|stats +memory|usage "
        "+memory|doctor +client|list +client|info +client|setname +client|setinfo +client|id +select +scan +type "
        "+command +acl|whoami +cluster|info +cluster|shards +role",
        "exporters and dashboards: reads figures, never values",
    ),
)

SYSTEM_USERS: tuple[User, ...] = (
    User(
        REPLICA,
        "resetchannels -@all +psync +sync +replconf +ping +role",
        "replicas and backups: reads the whole data as a stream",
    ),
    User(
        SENTINEL,
        "&* -@all +ping +info +role +multi +exec +subscribe +publish +replicaof +slaveof +config|rewrite "
        "+client|setname +client|kill +script|kill",
        "Sentinels: watch, and make a replica the primary",
        ("replicated",),
    ),
    User(
        CLUSTER,
        "resetchannels -@all +ping +info +cluster|info +cluster|nodes +cluster|meet +cluster|addslotsrange "
        "+cluster|replicate +cluster|forget +cluster|failover +cluster|set-config-epoch",
        "what joins the nodes of a cluster, and repairs it",
        ("cluster",),
    ),
    User(HEALTH, "resetchannels -@all +ping", "health checks: nothing but PING"),
    User(
        NODE,
        "resetchannels -@all +ping +info +cluster|nodes +config|set",
        "a node that starts: compares what it holds with the others, and sets its own priority for a failover",
    ),
    User(
        EXPORTER,
        # Anonymous clients choose what the exporter queries, so it reads figures alone: no SCAN, no TYPE, no keys.
        # No CONFIG GET either, which returns the password of the replicas.
        "resetchannels -@all +ping +info +client|setname +cluster|info +slowlog|len +slowlog|get +latency|latest "
        "+latency|histogram",
        "the exporter: reads figures, no names of keys and no settings",
    ),
)
"""Who the servers' own parts log in as; no application gets their passwords."""

# CLIENT TRACKING: valkey-go turns it on at each server that it connects to; a Sentinel has no keys to track.
_ASKS_SENTINELS = (
    "&* -@all +ping +hello +auth +info +role +subscribe +psubscribe +unsubscribe +punsubscribe +client|setname "
    "+client|setinfo +client|id +client|getname +client|tracking +command +sentinel|get-master-addr-by-name "
    "+sentinel|get-primary-addr-by-name +sentinel|master +sentinel|masters +sentinel|primary +sentinel|primaries "
    "+sentinel|replicas +sentinel|slaves +sentinel|sentinels +sentinel|myid"
)

SENTINEL_USERS: tuple[User, ...] = (
    User("app", _ASKS_SENTINELS, "clients: ask who is the primary"),
    User(MONITOR, f"{_ASKS_SENTINELS} +sentinel|ckquorum", "exporters and dashboards: can they fail over?"),
    User(ADMIN, "&* +@all", "operators"),
    User(SENTINEL, "&* +@all", "the other Sentinels"),
    User(
        EXPORTER,
        "resetchannels -@all +ping +info +client|setname +sentinel|masters +sentinel|sentinels +sentinel|slaves "
        "+sentinel|ckquorum",
        "the exporter: who is seen by whom, and can they fail over?",
    ),
    User(
        HEALTH,
        "resetchannels -@all +ping +sentinel|get-primary-addr-by-name",
        "health checks, and nodes that start: ask who is the primary",
    ),
)
"""On a Sentinel itself, which holds no data."""

# Not `-@all`: Valkey 8.1 checks the default user when it replays MULTI and scripts from the append-only file,
# and drops what it may not run (valkey #3983). `off` alone refuses every login.
DEFAULT_USER = "user default off resetpass ~* &* +@all"


def directives(workload: Workload, maxmemory: int, target: Target) -> dict[str, str]:
    """The directives that the target can set, for a workload and `maxmemory` in bytes."""
    rendered = {rule.directive: rule.for_workload(workload) for rule in RULES if rule.reaches(target)}
    return {"maxmemory": str(maxmemory), **rendered}


def topology_directives(topology: Topology, replicas: int) -> dict[str, str]:
    """What a data node is told of the others, beside the role that it has for the moment."""
    if topology == "single":
        return {}
    shared = {
        "repl-diskless-sync-delay": "1",  # not 5: a new replica is wanted soon, and there are few to wait for
        "replica-read-only": "yes",
        "replica-serve-stale-data": "yes",
    }
    if topology == "replicated":
        # A primary that comes back after a failover has no replica: it takes no write until Sentinel has demoted it.
        fence = "1" if replicas > 1 else "0"
        return {**shared, "min-replicas-to-write": fence, "min-replicas-max-lag": "10"}
    return {
        **shared,
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": "5000",  # milliseconds; a failover takes about one and a half of it
        "cluster-require-full-coverage": "no",  # shards that live go on
        "cluster-allow-replica-migration": "no",  # the layout stays as it was asked for
    }


def node_users(topology: Topology) -> tuple[User, ...]:
    """Everybody whom a data node knows."""
    return (*USERS, *(user for user in SYSTEM_USERS if topology in user.topologies))


def gaps(target: Target) -> list[str]:
    """What the target can't do of the table, a sentence each."""
    unset = [f"{rule.directive} is the service's own choice" for rule in RULES if not rule.reaches(target)]
    return [TLS_GAP, *unset] if target == "embedded" else unset


def acl(passwords: Mapping[str, str], users: Sequence[User] = USERS, previous: Mapping[str, str] | None = None) -> str:
    """An ACL file for users, given a password for each name. Only SHA-256 hashes stand in it.

    previous: passwords that are valid too, for the time of a rotation; empty ones count as none.

    The hash has no salt, so the passwords must be random: see `infra.providers.processes`.
    """
    old = previous or {}
    lines = []
    for user in users:
        valid = filter(None, (passwords[user.name], old.get(user.name)))
        lines.append(f"user {user.name} on {' '.join(f'#{_sha256(password)}' for password in valid)} {user.rules}")
    return "\n".join([DEFAULT_USER, *lines]) + "\n"


def valkey_conf(values: Mapping[str, str]) -> str:
    """Directives as valkey.conf. `save` and the buffer limits take several words; all else takes one."""
    return "".join(f"{name} {value}\n" for name, value in values.items())


def quoted(text: str) -> str:
    """A word of valkey.conf that may hold any printable character."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
