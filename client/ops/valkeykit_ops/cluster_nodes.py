"""Members of a cluster as one of its nodes sees them, from CLUSTER NODES."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from valkeykit.url import Node

SLOTS = 16_384

SlotRange = tuple[int, int]


@dataclass(frozen=True)
class OpenSlot:
    """A slot that is being moved. is_source: whether the node migrates it; else it imports it."""

    slot: int
    peer: str
    is_source: bool


@dataclass(frozen=True)
class ClusterMember:
    """A node of a cluster.

    Attributes:
        identity: Its node ID.
        primary: Node ID of its primary; None for a primary.
        slots: Ranges of its slots, both ends included.
        open_slots: Slots that are being moved; a node reports only its own.
    """

    identity: str
    node: Node
    flags: frozenset[str]
    primary: str | None
    slots: tuple[SlotRange, ...] = ()
    open_slots: tuple[OpenSlot, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether the cluster, or at least the reporting node, considers it failed."""
        return bool(self.flags & {"fail", "fail?"})

    @property
    def is_self(self) -> bool:
        """Whether it is the reporting node."""
        return "myself" in self.flags


def parse_members(reply: Any, queried: Node) -> list[ClusterMember]:
    """Parse the raw reply to CLUSTER NODES. Nodes without a known address are left out.

    Args:
        reply: Text or bytes.
        queried: The reporting node, which may not know its own address.
    """
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    text = text.removeprefix("txt:")
    members = (_member(line.split(" "), queried) for line in text.splitlines() if line.count(" ") >= 7)
    return [one for one in members if one is not None]


def _member(words: list[str], queried: Node) -> ClusterMember | None:
    identity, address, flags, primary, *_ = words
    host, _, port = address.partition("@")[0].rpartition(":")
    names = frozenset(flags.split(","))
    if "noaddr" in names or "handshake" in names or not port.isdigit():
        return None
    node = Node(host or queried.host, int(port))
    slots = [word for word in words[8:] if word]
    return ClusterMember(
        identity,
        node,
        names,
        None if primary == "-" else primary,
        tuple(_range(word) for word in slots if not word.startswith("[")),
        tuple(_open_slot(word) for word in slots if word.startswith("[")),
    )


def _range(word: str) -> SlotRange:
    first, _, last = word.partition("-")
    return int(first), int(last or first)


def _open_slot(word: str) -> OpenSlot:
    """`[5->-ID]` migrates slot 5 to ID, `[5-<-ID]` imports it."""
    slot, direction, peer = word.strip("[]").split("-", 2)
    return OpenSlot(int(slot), peer, direction == ">")


def uncovered(members: Iterable[ClusterMember]) -> list[SlotRange]:
    """Ranges of slots that belong to none of these members."""
    missing, after = [], 0
    for first, last in sorted(one for member in members for one in member.slots):
        if first > after:
            missing.append((after, first - 1))
        after = max(after, last + 1)
    if after < SLOTS:
        missing.append((after, SLOTS - 1))
    return missing


def count(ranges: Iterable[SlotRange]) -> int:
    """Number of slots."""
    return sum(last - first + 1 for first, last in ranges)


def shown(ranges: Iterable[SlotRange]) -> str:
    """Ranges of slots for display, such as 0-99, 200."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
