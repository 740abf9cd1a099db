"""Snapshot of a server after the login. Nothing is written: probed commands are queued and discarded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from valkeykit.connection import mode_of
from valkeykit.error_translation import classify
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node
from valkeykit.version_numbers import parse_version

from valkeykit_ops import nodes as deployment
from valkeykit_ops.cluster_nodes import ClusterMember, OpenSlot
from valkeykit_ops.doctor.permission_probes import Probes, probe
from valkeykit_ops.stats.reading import cpu_of

PING_COUNT, MIN_PINGS = 20, 2
PING_SECONDS = 0.4
"""Numbers of PINGs that measure the latency, and their time limit."""

MAX_LISTED_CLIENTS = 5_000
"""CLIENT LIST takes some 300 bytes for each client, and blocks the server while it is built."""

UNREAD_BYTES = 256 * 1024
"""Smaller replies wait for a moment wherever a client is busy."""

CPU_INTERVAL_SECONDS = 0.25
"""Interval over which the CPU time is measured."""


@dataclass
class Snapshot:
    """The state of a server.

    Attributes:
        info: INFO of all sections; empty if it is not permitted.
        probes: The user's permissions and the state of writes.
        config: Settings; empty if CONFIG GET is not permitted.
        cluster, slots, members: CLUSTER INFO, CLUSTER SLOTS and CLUSTER NODES of a cluster node.
        open_slots: Slots that this node moves, with its number of keys; -1 if unknown.
        clients: CLIENT LIST; empty if it is not permitted or there are more than MAX_LISTED_CLIENTS.
        unread: Bytes that wait for each client that read nothing while the snapshot was taken, by its id.
        pings: Seconds.
        connecting: Seconds until a TCP connection was open; 0 if unknown.
        cpu: Share of one core.
        slow: Latest entries of the slow log: (seconds ago, duration in seconds, command).
    """

    node: Node
    info: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    probes: Probes = field(default_factory=Probes)
    config: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    slots: list[Any] = field(default_factory=list)
    members: list[ClusterMember] = field(default_factory=list)
    open_slots: dict[OpenSlot, int] = field(default_factory=dict)
    clients: list[dict[str, str]] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    pings: list[float] = field(default_factory=list)
    connecting: float = 0.0
    cpu: float | None = None
    slow: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def mode(self) -> str:
        return mode_of(self.info)

    @property
    def role(self) -> str:
        """master or slave, as in INFO."""
        return str(self.info.get("role", "master"))

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the Redis commands that the server supports."""
        major, minor, *_ = (*parse_version(str(self.info.get("redis_version", ""))), 0, 0)
        return major, minor

    @property
    def may_administer(self) -> bool:
        """Whether the user may change settings; without probes, whether it may read them."""
        return "CONFIG SET" in self.probes.dangerous if self.probes.is_known else bool(self.config)

    @property
    def identity(self) -> str:
        """Node ID of a cluster node; empty if unknown."""
        return next((one.identity for one in self.members if one.is_self), "")

    def errors(self, code: str) -> int:
        """Number of errors with this code since the server's start."""
        entry = self.info.get(f"errorstat_{code}", {})
        return int(entry.get("count", 0)) if isinstance(entry, dict) else 0

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
    try:
        client.ping()
    except ResponseError as error:  # a server that can't write to its disk rejects PING, but not INFO
        if not isinstance(error, NoPermissionError) and classify(error).name != "disk-refuses":
            raise
    snapshot.info, when = _allowed(client, "INFO", "everything") or {}, time.monotonic()
    snapshot.user = str(_allowed(client, "ACL WHOAMI") or "")
    if snapshot.mode == "sentinel":
        return snapshot
    snapshot.probes = probe(client, snapshot.user)
    snapshot.config = _allowed(client, "CONFIG GET", "*") or {}
    if snapshot.mode == "cluster":
        snapshot.cluster = _allowed(client, "CLUSTER INFO") or {}
        with contextlib.suppress(ResponseError):
            snapshot.slots = deployment.slots_of(client)
        snapshot.members = deployment.members_of(client, node)
        snapshot.open_slots = _open_slots(client, snapshot)
    if snapshot.number("connected_clients") <= MAX_LISTED_CLIENTS:
        snapshot.clients = _allowed(client, "CLIENT LIST") or []
    snapshot.pings = _ping(client)
    snapshot.slow = _slow(client)
    time.sleep(max(0.0, CPU_INTERVAL_SECONDS - (time.monotonic() - when)))
    snapshot.unread = _unread(client, snapshot.clients)
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


def _open_slots(client: Redis, snapshot: Snapshot) -> dict[OpenSlot, int]:
    own = [slot for member in snapshot.members if member.is_self for slot in member.open_slots]
    counts = deployment.run_batch(client, [("CLUSTER", "COUNTKEYSINSLOT", str(one.slot)) for one in own])
    return {one: -1 if isinstance(number, RedisError) else int(number) for one, number in zip(own, counts, strict=True)}


def _unread(client: Redis, before: list[dict[str, str]]) -> dict[str, int]:
    """Replies that wait for clients that do not read. Their sockets are full too, so some more megabytes wait there."""
    waiting = {one["id"]: one for one in before if int(one.get("omem", 0)) >= UNREAD_BYTES}
    if not waiting:
        return {}
    after = {one["id"]: one for one in _allowed(client, "CLIENT LIST") or []}
    return {
        identity: int(after[identity]["omem"]) for identity, one in waiting.items()
        if identity in after and _sent(one) == _sent(after[identity])
        and int(after[identity]["omem"]) >= int(one["omem"])
    }  # fmt: skip


def _sent(client: Mapping[str, str]) -> str:
    """Bytes that were sent to it; servers older than Valkey 8 do not report them."""
    return client.get("tot-net-out", "")


def _ping(client: Redis) -> list[float]:
    seconds: list[float] = []
    end = time.monotonic() + PING_SECONDS
    while len(seconds) < PING_COUNT and (time.monotonic() < end or len(seconds) < MIN_PINGS):
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
