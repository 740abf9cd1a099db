"""A cluster of nodes that run: form it, heal it, hand a shard over.

Every function looks at what there is and does what is missing, so all can be run again at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import ProvisioningError
from infra.local.console import Console, Member, RefusedError, fields, info, wait_until

SLOTS = 16384

_AWAY = {"fail", "fail?", "handshake"}
"""Flags in CLUSTER NODES of a node that the one that was asked doesn't hear."""

FORM_SECONDS = 30.0
SYNC_SECONDS = 900.0
FAILOVER_SECONDS = 15.0


@dataclass(frozen=True)
class Row:
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


def rows(console: Console, node: str) -> list[Row]:
    """The cluster as a node sees it."""
    return _rows(console.run(node, "CLUSTER", "NODES"))


def row(line: str) -> Row:
    """A line of CLUSTER NODES, or of a node's own nodes.conf."""
    identity, address, flags, primary, _ping, _pong, _epoch, link, *slots = line.split()
    return Row(
        id=identity,
        address=address.split("@")[0],
        flags=frozenset(flags.split(",")),
        primary=primary,
        slots=frozenset(slot for text in slots if not text.startswith("[") for slot in _span(text)),
        link=link,
    )


def form(console: Console, members: Sequence[Member], shards: int) -> None:
    """Bring all members together: the first `shards` of a new cluster get the slots, the others follow them.

    Raises:
        ProvisioningError: they don't come together in time.
    """
    ids = {member.name: str(console.run(member.name, "CLUSTER", "MYID")) for member in members}
    _number(console, members)
    _forget_the_lost(console, members, ids)
    _share_slots(console, members, shards)  # before they meet, as that tells everybody
    _meet(console, members, ids)
    _attach(console, members)
    wait_until(
        lambda: not any(problems(console, members)), SYNC_SECONDS, "the cluster doesn't come together: see its logs"
    )


def problems(console: Console, members: Sequence[Member]) -> Iterator[str]:
    """What is wrong with the cluster, a line each."""
    followers = []
    addresses = {member.address for member in members}
    for member in members:
        nodes, health, replication = console.ask(
            member.name, [("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication")]
        )
        view, state = _rows(nodes), fields(replication)
        if fields(health)["cluster_state"] != "ok" or len(_slots(view)) < SLOTS:
            yield f"{member.name} says that the cluster isn't whole"
        for known in view:
            if known.address in addresses and known.flags & _AWAY:
                yield f"{member.name} doesn't hear {known.address}"
        if state["role"] == "slave":
            followers.append(f"{state['master_host']}:{state['master_port']}")
            if state["master_link_status"] != "up":
                yield f"{member.name} has lost its primary"
    primaries = [row for row in rows(console, members[0].name) if row.is_primary and row.slots]
    if followers and any(followers.count(row.address) != len(followers) // len(primaries) for row in primaries):
        yield "the replicas aren't shared evenly"


def primaries(console: Console, members: Sequence[Member]) -> list[Member]:
    """The members that say they are a primary."""
    return [member for member in members if info(console, member.name, "replication")["role"] == "master"]


def take_over(console: Console, members: Sequence[Member], replica: Member) -> None:
    """Make a replica whose primary is dead the primary. members: the first of each shard, which all run.

    By election where most primaries live; else by its own decision, as nobody could elect it.

    Raises:
        ProvisioningError: it doesn't become the primary.
    """
    wait_until(
        lambda: all(_hears(console, member, members) for member in members), FORM_SECONDS, "the nodes don't meet"
    )
    if 2 * len(primaries(console, members)) > len(members):
        with contextlib.suppress(ProvisioningError):
            promote(console, replica, force=True)
            return
    with contextlib.suppress(RefusedError):  # it has just become one
        console.run(replica.name, "CLUSTER", "FAILOVER", "TAKEOVER")
    wait_until(
        lambda: info(console, replica.name, "replication")["role"] == "master",
        FAILOVER_SECONDS,
        f"{replica.name} doesn't become the primary",
    )


def _hears(console: Console, member: Member, others: Sequence[Member]) -> bool:
    """Whether the member has a link to each of the others: an election asks for votes but once."""
    heard = {known.address for known in rows(console, member.name) if known.link == "connected"}
    return {other.address for other in others} <= heard | {member.address}


def fail_over(console: Console, members: Sequence[Member], primary: Member) -> None:
    """Make a replica of a primary that lives the shard's primary; no write is lost by it.

    Raises:
        ProvisioningError: it has no replica, or none takes over.
    """
    for member in members:
        state = info(console, member.name, "replication")
        if state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == primary.address:
            promote(console, member)
            return
    raise ProvisioningError(f"{primary.name} has no replica that could take over")


def promote(console: Console, replica: Member, *, force: bool = False) -> None:
    """Make a replica the primary of its shard. force: though its primary doesn't answer."""
    console.run(replica.name, "CLUSTER", "FAILOVER", *(["FORCE"] if force else []))
    wait_until(
        lambda: info(console, replica.name, "replication")["role"] == "master",
        FAILOVER_SECONDS,
        f"{replica.name} doesn't become the primary",
    )


def _number(console: Console, members: Sequence[Member]) -> None:
    """Give new nodes epochs of their own, so that two of them never claim the same slots with equal right."""
    for number, member in enumerate(members, start=1):
        if len(rows(console, member.name)) == 1:
            with contextlib.suppress(RefusedError):  # it has one
                console.run(member.name, "CLUSTER", "SET-CONFIG-EPOCH", str(number))


def _meet(console: Console, members: Sequence[Member], ids: dict[str, str]) -> None:
    first, *others = members
    known = {row.id for row in rows(console, first.name)}
    for member in others:
        if ids[member.name] not in known:
            bus = [str(member.bus)] if member.bus else []
            console.run(first.name, "CLUSTER", "MEET", member.host, str(member.port), *bus)
    wanted = set(ids.values())
    wait_until(lambda: all(wanted <= _met(console, member) for member in members), FORM_SECONDS, "the nodes don't meet")


def _met(console: Console, member: Member) -> set[str]:
    return {row.id for row in rows(console, member.name) if "handshake" not in row.flags}


def _forget_the_lost(console: Console, members: Sequence[Member], ids: dict[str, str]) -> None:
    """Nodes that were members and are gone for good, such as one whose folder was removed."""
    known = {row.id: row for member in members for row in rows(console, member.name)}
    followed = {row.primary for row in known.values() if row.id in ids.values()}
    for lost in set(known) - set(ids.values()) - followed:
        if "handshake" in known[lost].flags:
            continue
        for member in members:
            with contextlib.suppress(RefusedError):  # it knows it no more
                console.run(member.name, "CLUSTER", "FORGET", lost)


def _share_slots(console: Console, members: Sequence[Member], shards: int) -> None:
    """Give each of the first members its part of the slots that nobody serves."""
    served = _slots([row for member in members for row in rows(console, member.name)])
    for number, member in enumerate(members[:shards]):
        part = range(number * SLOTS // shards, (number + 1) * SLOTS // shards)
        missing = [slot for slot in part if slot not in served]
        if missing:
            console.run(member.name, "CLUSTER", "ADDSLOTSRANGE", *ranges(missing))


def _attach(console: Console, members: Sequence[Member]) -> None:
    """Make every primary without slots a replica of the primary that has the fewest."""
    first = members[0].name
    wait_until(
        lambda: len(_slots(rows(console, first))) == SLOTS, FORM_SECONDS, f"{first} doesn't see every slot served"
    )
    view = rows(console, first)
    counts = {row.id: sum(other.primary == row.id for other in view) for row in view if row.is_primary and row.slots}
    for member in members:
        (own,) = (row for row in rows(console, member.name) if "myself" in row.flags)
        if not own.is_primary or own.slots:
            continue
        primary = min(counts, key=lambda known: counts[known])
        counts[primary] += 1
        _replicate(console, member, primary)


def _replicate(console: Console, member: Member, primary: str) -> None:
    wait_until(
        lambda: console.run(member.name, "CLUSTER", "REPLICATE", primary) == "OK",
        FORM_SECONDS,
        f"{member.name} can't be made a replica",
    )


def _rows(text: Any) -> list[Row]:
    return [row(line) for line in str(text).splitlines()]


def _slots(view: Sequence[Row]) -> frozenset[int]:
    """The slots that have a server."""
    return frozenset[int]().union(*(known.slots for known in view))


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def ranges(slots: Sequence[int]) -> list[str]:
    """First and last of each run of slots, as ADDSLOTSRANGE takes them."""
    ends: list[str] = []
    for slot in slots:
        if not ends or slot != int(ends[-1]) + 1:
            ends += [str(slot), str(slot)]
        ends[-1] = str(slot)
    return ends
