"""A cluster of nodes that run: form it, heal it, hand a shard over.

Every function looks at what there is and does what is missing, so all can be run again at any time.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.drivers.topology.executor import (
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

PLAN_SCRIPT = Path(__file__).resolve().parents[3] / "compose" / "bin" / "plan-cluster"
"""What a cluster needs next, from what its nodes know."""

_DISCONNECTED_FLAGS = {"fail", "fail?", "handshake"}
"""Flags in CLUSTER NODES of a node that the queried one has no connection to."""

FORM_SECONDS = 30.0
SYNC_SECONDS = 900.0
FAILOVER_SECONDS = 15.0


@dataclass(frozen=True)
class ClusterNode:
    """A line of CLUSTER NODES. primary: the id of whom it follows, or `-`. link: `connected` or `disconnected`."""

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
    """The cluster as a node sees it."""
    return _parse_nodes(executor.run(node, "CLUSTER", "NODES"))


def parse_node(line: str) -> ClusterNode:
    """A line of CLUSTER NODES, or of a node's own nodes.conf."""
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
    """Bring all members together: the first `shards` of a new cluster get the slots, the others follow them.

    Raises:
        ProvisioningError: they don't come together in time.
    """

    def is_whole() -> bool:
        for name, *command in _plan(executor, members, shards):
            with contextlib.suppress(ProvisioningError):  # it has just been done, or can't be yet
                executor.run(name, "CLUSTER", *command)
                if command[0] == "failover":  # ordered again at once, it would begin another election
                    _wait_until_primary(executor, name)
        return not any(problems(executor, members))

    wait_until(is_whole, SYNC_SECONDS, "the nodes did not form a cluster: see their logs")


def _plan(executor: NodeExecutor, members: Sequence[NodeAddress], shards: int) -> list[list[str]]:
    """The commands that the nodes need next, as the keeper of a cluster of containers plans them too."""
    known = ""
    for number, member in enumerate(members):
        answers = executor.run_many(member.name, [("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication")])
        place = slot_range(number, shards) if number < shards else ("-", "-")
        line = "@ {} {} {} {} {}".format(member.name, member.host, member.port, *place)
        known += "\n".join([line, *map(str, answers), ""])
    run = subprocess.run(["awk", "-f", PLAN_SCRIPT], input=known, capture_output=True, text=True, check=True)
    return [line.split() for line in run.stdout.splitlines() if not line.startswith("#")]


def slot_range(number: int, shards: int) -> tuple[int, int]:
    """First and last slot of the primary of this number, of so many."""
    return number * SLOTS // shards, (number + 1) * SLOTS // shards - 1


def problems(executor: NodeExecutor, members: Sequence[NodeAddress]) -> Iterator[str]:
    """What is wrong with the cluster, a line each."""
    followers = []
    addresses = {member.address for member in members}
    for member in members:
        nodes, health, replication = executor.run_many(
            member.name, [("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication")]
        )
        view, state = _parse_nodes(nodes), fields(replication)
        if fields(health)["cluster_state"] != "ok" or len(_slots(view)) < SLOTS:
            yield f"{member.name} reports that the cluster is not healthy"
        for known in view:
            if known.address in addresses and known.flags & _DISCONNECTED_FLAGS:
                yield f"{member.name} has no connection to {known.address}"
        if state["role"] == "slave":
            followers.append(f"{state['master_host']}:{state['master_port']}")
            if state["master_link_status"] != "up":
                yield f"{member.name} has lost its primary"
    primaries = [node for node in read_nodes(executor, members[0].name) if node.is_primary and node.slots]
    if followers and any(followers.count(node.address) != len(followers) // len(primaries) for node in primaries):
        yield "the replicas aren't shared evenly"


def primaries(executor: NodeExecutor, members: Sequence[NodeAddress]) -> list[NodeAddress]:
    """The members that say they are a primary."""
    return [member for member in members if info(executor, member.name, "replication")["role"] == "master"]


def take_over(executor: NodeExecutor, members: Sequence[NodeAddress], replica: NodeAddress) -> None:
    """Make a replica whose primary is dead the primary. members: the first of each shard, which all run.

    By election where most primaries live; else by its own decision, as nobody could elect it.

    Raises:
        ProvisioningError: it doesn't become the primary.
    """
    wait_until(
        lambda: all(_is_connected(executor, member, members) for member in members),
        FORM_SECONDS,
        "the nodes have not joined each other",
    )
    if 2 * len(primaries(executor, members)) > len(members):
        with contextlib.suppress(ProvisioningError):
            promote(executor, replica, force=True)
            return
    with contextlib.suppress(CommandRejectedError, NotRespondingError):  # it has just become one
        executor.run(replica.name, "CLUSTER", "FAILOVER", "TAKEOVER")
    _wait_until_primary(executor, replica.name)


def _is_connected(executor: NodeExecutor, member: NodeAddress, others: Sequence[NodeAddress]) -> bool:
    """Whether the member has a link to each of the others: an election asks for votes but once."""
    connected = {known.address for known in read_nodes(executor, member.name) if known.link == "connected"}
    return {other.address for other in others} <= connected | {member.address}


def fail_over(executor: NodeExecutor, members: Sequence[NodeAddress], primary: NodeAddress) -> None:
    """Make a replica of a primary that lives the shard's primary; no write is lost by it.

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
    """Make a replica the primary of its shard. force: though its primary doesn't answer."""
    for _ in range(2):  # it gives up after 5 s, as on a machine that is busy
        with contextlib.suppress(NotRespondingError):  # an answer that is lost says nothing
            executor.run(replica.name, "CLUSTER", "FAILOVER", *(["FORCE"] if force else []))
        with contextlib.suppress(ProvisioningError):
            _wait_until_primary(executor, replica.name)
            return
    raise ProvisioningError(f"{replica.name} doesn't become the primary", fix="run `make up` again to resume")


def _wait_until_primary(executor: NodeExecutor, name: str) -> None:
    wait_until(
        lambda: info(executor, name, "replication")["role"] == "master",
        FAILOVER_SECONDS,
        f"{name} doesn't become the primary",
    )


def _parse_nodes(text: Any) -> list[ClusterNode]:
    return [parse_node(line) for line in str(text).splitlines()]


def _slots(view: Sequence[ClusterNode]) -> frozenset[int]:
    """The slots that have a server."""
    return frozenset[int]().union(*(known.slots for known in view))


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def slot_ranges(slots: Sequence[int]) -> list[str]:
    """First and last of each run of slots, as ADDSLOTSRANGE takes them."""
    ends: list[str] = []
    for slot in slots:
        if not ends or slot != int(ends[-1]) + 1:
            ends += [str(slot), str(slot)]
        ends[-1] = str(slot)
    return ends
