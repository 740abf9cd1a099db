"""The shards of a deployment, as its nodes report them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.crc import key_slot
from valkeykit.url import Node

from tests.smoke.subject import Subject

SLOTS = 16384

ACKNOWLEDGE_SECONDS = 30
"""How long replicas on a busy machine may take to acknowledge a write."""


@dataclass(frozen=True)
class Shard:
    """slots: ranges, both ends included; all of them where it isn't a cluster."""

    primary: Node
    replicas: tuple[Node, ...]
    slots: tuple[tuple[int, int], ...] = ((0, SLOTS - 1),)

    def key(self) -> str:
        """A new name that belongs to the shard."""
        names = (f"smoke:{uuid.uuid4().hex}:{number}" for number in itertools.count())
        return next(name for name in names if self._has(key_slot(name.encode())))

    def _has(self, slot: int) -> bool:
        return any(first <= slot <= last for first, last in self.slots)


def shards(subject: Subject) -> list[Shard]:
    if subject.topology != "cluster":
        replicas = tuple(subject.in_role("slave"))
        return [Shard(primary, replicas) for primary in subject.in_role("master")]
    found: dict[Node, Shard] = {}
    for first, last, (primary, *others) in slots(subject):
        before = found[primary].slots if primary in found else ()
        found[primary] = Shard(primary, tuple(others), (*before, (first, last)))
    return list(found.values())


def slots(subject: Subject, seen_by: Node | None = None) -> list[tuple[int, int, list[Node]]]:
    """The ranges of CLUSTER SLOTS: first and last slot, and who announces to serve them, the primary first."""
    node = seen_by or subject.nodes[0]
    with subject.at(node) as client:
        ranges: Sequence[Sequence[Any]] = client.execute_command("CLUSTER SLOTS")
    return [(first, last, [_announced(entry, node) for entry in nodes]) for first, last, *nodes in ranges]


def _announced(entry: Sequence[Any], asked: Node) -> Node:
    """A node that doesn't know its own address announces none: it is the one that was asked."""
    return Node(str(entry[0] or asked.host), int(entry[1]))


def acknowledged(primary: redis.Redis, replicas: int) -> int:
    """How many replicas have the connection's last write; wait for as many as given."""
    count = 0
    for _ in range(ACKNOWLEDGE_SECONDS):  # one second each: the client itself waits two for a response
        if (count := primary.wait(replicas, 1000)) >= replicas:
            break
    return count
