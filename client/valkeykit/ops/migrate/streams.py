"""Streams by commands: entries in slices, then the groups with what they have pending.

A pending entry can only be claimed while the stream has it. One that was deleted is
therefore added again for that moment, in its place, and deleted once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.wire import pack

DRIFT = 1000
"""Milliseconds by which a delivery's time may differ on both sides: each reckons it by its own clock."""

_FIRST, _LAST = b"-", b"+"
_GHOST = (b"", b"")


@dataclass
class Pending:
    """An entry that a consumer has and hasn't acknowledged. delivered: milliseconds since the epoch."""

    group: bytes
    consumer: bytes
    id: bytes
    delivered: int
    times: int

    def is_like(self, other: Pending) -> bool:
        """The same on both sides, the clocks' drift aside."""
        mine, theirs = (
            (self.group, self.consumer, self.id, self.times),
            (other.group, other.consumer, other.id, other.times),
        )
        return mine == theirs and abs(self.delivered - other.delivered) <= DRIFT


@dataclass
class Piece:
    """A slice: entries by id, and what is pending in its range."""

    start: bytes
    end: bytes
    entries: dict[bytes, list[bytes]]
    pending: list[Pending] = field(default_factory=list)


class Stream:
    """The shape of streams."""

    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "XLEN", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[Piece]:
        groups = group_names(router, key)
        start = _FIRST
        while True:
            page = router.call(key, "XRANGE", key, start, _LAST, "COUNT", step)
            end = page[-1][0] if len(page) == step else _LAST
            pending = [found for group in groups for found in _pending(router, key, group, (start, end), step)]
            yield Piece(start, end, dict(page), pending)
            if end == _LAST:
                return
            start = b"(" + end

    def begin(self, router: Router, key: bytes, place: bytes) -> list[bytes]:
        """The commands that make a stream with the groups of another one."""
        groups = group_names(router, key)
        if not groups:
            return []
        return [pack("XGROUP", "CREATE", place, group, "0", "MKSTREAM") for group in groups]

    def write(self, key: bytes, piece: Piece) -> list[bytes]:
        ghosts = {pending.id for pending in piece.pending} - set(piece.entries)
        rows = sorted(
            [*piece.entries.items(), *((ghost, list(_GHOST)) for ghost in ghosts)], key=lambda row: order(row[0])
        )
        block = [pack("XADD", key, identity, *fields) for identity, fields in rows]
        block += [
            pack("XCLAIM", key, one.group, one.consumer, 0, one.id, "TIME", one.delivered, "RETRYCOUNT", one.times,
                 "FORCE", "JUSTID")
            for one in piece.pending
        ]  # fmt: skip
        return block + _without(key, piece, ghosts)

    def finish(self, router: Router, key: bytes, place: bytes, *, counters: bool) -> list[bytes]:
        """The commands that set what XADD doesn't: last id, counters, groups' positions, idle consumers.

        counters: whether both sides count entries added and read (7.0 and newer).
        """
        about = _facts(router.call(key, "XINFO", "STREAM", key))
        block = []
        if about["length"] == 0 and not about["groups"]:
            block += [pack("XGROUP", "CREATE", place, "_", "0", "MKSTREAM"), pack("XGROUP", "DESTROY", place, "_")]
        last = pack("XSETID", place, about["last-generated-id"])
        if counters:
            last = pack("XSETID", place, about["last-generated-id"], "ENTRIESADDED", about["entries-added"],
                        "MAXDELETEDID", about["max-deleted-entry-id"])  # fmt: skip
        block.append(last)
        for group in map(_facts, router.call(key, "XINFO", "GROUPS", key)):
            read = ["ENTRIESREAD", group["entries-read"]] if counters and group["entries-read"] is not None else []
            block.append(pack("XGROUP", "SETID", place, group["name"], group["last-delivered-id"], *read))
            for consumer in map(_facts, router.call(key, "XINFO", "CONSUMERS", key, group["name"])):
                block.append(pack("XGROUP", "CREATECONSUMER", place, group["name"], consumer["name"]))
        return block

    def has(self, router: Router, key: bytes, piece: Piece) -> bool:
        step = len(piece.entries) + 1
        entries: dict[bytes, list[bytes]] = dict(router.call(key, "XRANGE", key, piece.start, piece.end, "COUNT", step))
        if entries != piece.entries:
            return False
        there = [
            found
            for group in group_names(router, key)
            for found in _pending(router, key, group, (piece.start, piece.end), max(step, 100))
        ]
        return len(there) == len(piece.pending) and all(
            one.is_like(other) for one, other in zip(piece.pending, there, strict=True)
        )

    def ends_like(self, one: Router, key: bytes, other: Router, place: bytes, *, counters: bool) -> bool:
        """Whether two streams agree in what isn't an entry: last id, counters, groups, consumers."""
        return bool(self._outline(one, key, counters=counters) == self._outline(other, place, counters=counters))

    def _outline(self, router: Router, key: bytes, *, counters: bool) -> Any:
        about = _facts(router.call(key, "XINFO", "STREAM", key))
        kept = ["length", "last-generated-id", *(["entries-added", "max-deleted-entry-id"] if counters else [])]
        marks = ["name", "last-delivered-id", "pending", *(["entries-read"] if counters else [])]
        groups = sorted(
            (
                [group[mark] for mark in marks],
                sorted(_facts(row)["name"] for row in router.call(key, "XINFO", "CONSUMERS", key, group["name"])),
            )
            for group in map(_facts, router.call(key, "XINFO", "GROUPS", key))
        )
        return [about[name] for name in kept], groups


def _without(key: bytes, piece: Piece, ghosts: set[bytes]) -> list[bytes]:
    """The commands that take the ghosts away.

    What XTRIM took at the source comes before every entry. It is trimmed here too, since XDEL
    would leave its mark in the stream's counters.
    """
    first = min(map(order, piece.entries), default=None)
    trimmed = {ghost for ghost in ghosts if piece.start == _FIRST and (first is None or order(ghost) < first)}
    block = []
    if trimmed:
        keep = ["MINID", b"%d-%d" % first] if first else ["MAXLEN", 0]
        block.append(pack("XTRIM", key, *keep))
    if deleted := ghosts - trimmed:
        block.append(pack("XDEL", key, *deleted))
    return block


def order(identity: bytes) -> tuple[int, int]:
    """An entry's id, to sort by."""
    milliseconds, _, sequence = identity.partition(b"-")
    return int(milliseconds), int(sequence)


def group_names(router: Router, key: bytes) -> list[bytes]:
    """The names of a stream's groups, sorted; none where there is no such key."""
    try:
        return sorted(_facts(group)["name"] for group in router.call(key, "XINFO", "GROUPS", key))
    except ResponseError as problem:
        if "no such key" in str(problem):
            return []
        raise


def _pending(router: Router, key: bytes, group: bytes, between: tuple[bytes, bytes], step: int) -> Iterator[Pending]:
    start, end = between
    while True:
        seconds, micros = router.call(key, "TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        page = router.call(key, "XPENDING", key, group, start, end, step)
        for identity, consumer, idle, times in page:
            yield Pending(group, consumer, identity, now - idle, times)
        if len(page) < step:
            return
        start = b"(" + page[-1][0]


def _facts(pairs: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
