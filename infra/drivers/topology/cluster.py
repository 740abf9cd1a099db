"""Clusters: form and repair a cluster of running nodes, report its problems, and fail over shards.

Every function is idempotent.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.drivers.topology.node_executor import (
    CommandRejectedError,
    NodeAddress,
    NodeExecutor,
    NotRespondingError,
    fields,
    info,
    wait_until,
)
from infra.errors import ProvisioningError

SLOTS = 16384

BUS_OFFSET = 10_000
"""The offset of a node's cluster bus port: Valkey's default."""

PLAN_SCRIPT = Path(__file__).with_name("plan-cluster")
"""Plans the next commands of a cluster from its nodes' views; an awk program, as containers run it too."""

_DISCONNECTED_FLAGS = {"fail", "fail?", "handshake"}
"""Flags in CLUSTER NODES of a node to which the queried node has no connection."""

JOIN_TIMEOUT_SECONDS = 30.0
SYNC_TIMEOUT_SECONDS = 900.0
FAILOVER_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class ClusterNode:
    """A line of CLUSTER NODES. primary: the id of its primary, or `-`. link: `connected` or `disconnected`."""

    id: str
    address: str
    flags: frozenset[str]
    primary: str
    slots: frozenset[int]
    link: str

    @property
    def is_primary(self) -> bool:
        return "master" in self.flags


def read_nodes(executor: NodeExecutor, node: str) -> list[ClusterNode]:
    """The nodes of the cluster, as a node reports them."""
    return _parse_nodes(executor.run(node, "CLUSTER", "NODES"))


def parse_node(line: str) -> ClusterNode:
    """Parse a line of CLUSTER NODES or nodes.conf."""
    identity, address, flags, primary, _ping, _pong, _epoch, link, *slots = line.split()
    return ClusterNode(
        id=identity,
        address=address.split("@")[0],
        flags=frozenset(flags.split(",")),
        primary=primary,
        slots=frozenset(slot for text in slots if not text.startswith("[") for slot in _span(text)),
        link=link,
    )


def form(executor: NodeExecutor, members: Sequence[NodeAddress], shards: int) -> None:
    """Form a cluster or complete it: the first `shards` members of a new one get the slots, the others replicate them.

    Raises:
        ProvisioningError: it isn't healthy in time.
    """

    def is_healthy() -> bool:
        for name, *command in _plan(executor, members, shards):
            with contextlib.suppress(ProvisioningError):  # already done, or not possible yet
                executor.run(name, "CLUSTER", *command)
                if command[0] == "failover":  # repeating it at once would start another election
                    _wait_until_primary(executor, name)
        return not any(problems(executor, members))

    wait_until(is_healthy, SYNC_TIMEOUT_SECONDS, "the nodes did not form a cluster: see their logs")


def _plan(executor: NodeExecutor, members: Sequence[NodeAddress], shards: int) -> list[list[str]]:
    """The commands that the nodes need next; keep-cluster, in a container, uses the same plan."""
    views = ""
    for number, member in enumerate(members):
        responses = executor.run_many(member.name, [("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication")])
        slots = slot_range(number, shards) if number < shards else ("-", "-")
        line = "@ {} {} {} {} {}".format(member.name, member.host, member.port, *slots)
        views += "\n".join([line, *map(str, responses), ""])
    program = ["awk", "-v", f"now={int(time.time())}", "-f", str(PLAN_SCRIPT)]
    run = subprocess.run(program, input=views, capture_output=True, text=True, check=True)
    return [line.split() for line in run.stdout.splitlines() if not line.startswith("#")]


def slot_range(number: int, shards: int) -> tuple[int, int]:
    """The first and last slot of a primary, by its number among the shards."""
    return number * SLOTS // shards, (number + 1) * SLOTS // shards - 1


def problems(executor: NodeExecutor, members: Sequence[NodeAddress]) -> Iterator[str]:
    """Problems of the cluster, a line each."""
    followers = []
    addresses = {member.address for member in members}
    for member in members:
        nodes, health, replication = executor.run_many(
            member.name, [("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication")]
        )
        view, state = _parse_nodes(nodes), fields(replication)
        if fields(health)["cluster_state"] != "ok" or len(_slots(view)) < SLOTS:
            yield f"{member.name} reports that the cluster is not healthy"
        for entry in view:
            if entry.address in addresses and entry.flags & _DISCONNECTED_FLAGS:
                yield f"{member.name} has no connection to {entry.address}"
        if state["role"] == "slave":
            followers.append(f"{state['master_host']}:{state['master_port']}")
            if state["master_link_status"] != "up":
                yield f"{member.name} has lost its primary"
    primaries = [node for node in read_nodes(executor, members[0].name) if node.is_primary and node.slots]
    if followers and any(followers.count(node.address) != len(followers) // len(primaries) for node in primaries):
        yield "the replicas are not distributed evenly"


def primaries(executor: NodeExecutor, members: Sequence[NodeAddress]) -> list[NodeAddress]:
    """The members that report themselves as primaries."""
    return [member for member in members if info(executor, member.name, "replication")["role"] == "master"]


def take_over(executor: NodeExecutor, members: Sequence[NodeAddress], replica: NodeAddress) -> None:
    """Promote a replica whose primary is down. members: the first of each shard, which all run.

    By election if most primaries run; otherwise without one, as there is no majority.

    Raises:
        ProvisioningError: it doesn't become the primary.
    """
    wait_until(
        lambda: all(_is_connected(executor, member, members) for member in members),
        JOIN_TIMEOUT_SECONDS,
        "the nodes have not joined each other",
    )
    if 2 * len(primaries(executor, members)) > len(members):
        with contextlib.suppress(ProvisioningError):
            promote(executor, replica, force=True)
            return
    with contextlib.suppress(CommandRejectedError, NotRespondingError):  # it is a primary already
        executor.run(replica.name, "CLUSTER", "FAILOVER", "TAKEOVER")
    _wait_until_primary(executor, replica.name)


def _is_connected(executor: NodeExecutor, member: NodeAddress, others: Sequence[NodeAddress]) -> bool:
    """Whether the member is connected to each of the others: an election requests votes only once."""
    connected = {entry.address for entry in read_nodes(executor, member.name) if entry.link == "connected"}
    return {other.address for other in others} <= connected | {member.address}


def fail_over(executor: NodeExecutor, members: Sequence[NodeAddress], primary: NodeAddress) -> None:
    """Fail over a running primary to a replica; no write is lost.

    Raises:
        ProvisioningError: it has no replica, or none takes over.
    """
    for member in members:
        state = info(executor, member.name, "replication")
        if state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == primary.address:
            promote(executor, member)
            return
    raise ProvisioningError(f"{primary.name} has no replica that could take over")


def promote(executor: NodeExecutor, replica: NodeAddress, *, force: bool = False) -> None:
    """Promote a replica. force: even if its primary doesn't respond."""
    for _ in range(2):  # it gives up after 5 s, as on a busy machine
        with contextlib.suppress(NotRespondingError):  # a lost response doesn't tell
            executor.run(replica.name, "CLUSTER", "FAILOVER", *(["FORCE"] if force else []))
        with contextlib.suppress(ProvisioningError):
            _wait_until_primary(executor, replica.name)
            return
    raise ProvisioningError(f"{replica.name} doesn't become the primary", fix="run `make up` again to resume")


def _wait_until_primary(executor: NodeExecutor, name: str) -> None:
    wait_until(
        lambda: info(executor, name, "replication")["role"] == "master",
        FAILOVER_TIMEOUT_SECONDS,
        f"{name} doesn't become the primary",
    )


def _parse_nodes(text: Any) -> list[ClusterNode]:
    return [parse_node(line) for line in str(text).splitlines()]


def _slots(view: Sequence[ClusterNode]) -> frozenset[int]:
    """The slots that a node serves."""
    return frozenset[int]().union(*(entry.slots for entry in view))


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def slot_ranges(slots: Sequence[int]) -> list[str]:
    """The first and last slot of each contiguous range, as arguments of ADDSLOTSRANGE."""
    ends: list[str] = []
    for slot in slots:
        if not ends or slot != int(ends[-1]) + 1:
            ends += [str(slot), str(slot)]
        ends[-1] = str(slot)
    return ends
