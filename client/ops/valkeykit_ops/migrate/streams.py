"""Codec for streams: entries in chunks, then consumer groups with their pending entries.

A pending entry can only be claimed while it is in the stream.
A deleted pending entry is therefore added, claimed and deleted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from valkeykit_ops.migrate.pipelined import pack
from valkeykit_ops.migrate.router import Router

CLOCK_DRIFT_MS = 1000
"""How far delivery times may differ, since each server computes them with its own clock."""

MAX_SEQUENCE = (1 << 64) - 1

_FIRST, _LAST = b"-", b"+"
_GHOST = (b"", b"")


@dataclass
class Pending:
    """A pending entry of a consumer. delivered: milliseconds since the epoch."""

    group: bytes
    consumer: bytes
    id: bytes
    delivered: int
    times: int

    def is_like(self, other: Pending) -> bool:
        """Whether both are equal, except for clock drift."""
        mine, theirs = (
            (self.group, self.consumer, self.id, self.times),
            (other.group, other.consumer, other.id, other.times),
        )
        return mine == theirs and abs(self.delivered - other.delivered) <= CLOCK_DRIFT_MS


@dataclass
class StreamChunk:
    """A chunk: entries by id, and the pending entries in its range."""

    start: bytes
    end: bytes
    entries: dict[bytes, list[bytes]]
    pending: list[Pending] = field(default_factory=list)


class StreamCodec:
    """Codec for streams."""

    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "XLEN", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[StreamChunk]:
        groups = group_names(router, key)
        start = _FIRST
        while True:
            page = router.call(key, "XRANGE", key, start, _LAST, "COUNT", step)
            end = page[-1][0] if len(page) == step else _LAST
            pending = [found for group in groups for found in _pending(router, key, group, (start, end), step)]
            yield StreamChunk(start, end, dict(page), pending)
            if end == _LAST:
                return
            start = _next(end)

    def begin(self, router: Router, key: bytes, scratch: bytes) -> list[bytes]:
        """The commands that create a stream with the same consumer groups."""
        groups = group_names(router, key)
        if not groups:
            return []
        return [pack("XGROUP", "CREATE", scratch, group, "0", "MKSTREAM") for group in groups]

    def write(self, key: bytes, chunk: StreamChunk) -> list[bytes]:
        ghosts = {pending.id for pending in chunk.pending} - set(chunk.entries)
        rows = sorted(
            [*chunk.entries.items(), *((ghost, list(_GHOST)) for ghost in ghosts)], key=lambda row: order(row[0])
        )
        block = [pack("XADD", key, identity, *fields) for identity, fields in rows]
        block += [
            pack("XCLAIM", key, one.group, one.consumer, 0, one.id, "TIME", one.delivered, "RETRYCOUNT", one.times,
                 "FORCE", "JUSTID")
            for one in chunk.pending
        ]  # fmt: skip
        return block + _delete_ghosts(key, chunk, ghosts)

    def finish(self, router: Router, key: bytes, scratch: bytes, *, counters: bool) -> list[bytes]:
        """The commands that set last id, counters, group positions and idle consumers.

        Args:
            counters: Whether both servers count added and read entries (7.0 and newer).
        """
        about = _facts(router.call(key, "XINFO", "STREAM", key))
        block = []
        if about["length"] == 0 and not about["groups"]:
            block += [pack("XGROUP", "CREATE", scratch, "_", "0", "MKSTREAM"), pack("XGROUP", "DESTROY", scratch, "_")]
        last = pack("XSETID", scratch, about["last-generated-id"])
        if counters:
            last = pack("XSETID", scratch, about["last-generated-id"], "ENTRIESADDED", about["entries-added"],
                        "MAXDELETEDID", about["max-deleted-entry-id"])  # fmt: skip
        block.append(last)
        for group in map(_facts, router.call(key, "XINFO", "GROUPS", key)):
            read = ["ENTRIESREAD", group["entries-read"]] if counters and group["entries-read"] is not None else []
            block.append(pack("XGROUP", "SETID", scratch, group["name"], group["last-delivered-id"], *read))
            for consumer in map(_facts, router.call(key, "XINFO", "CONSUMERS", key, group["name"])):
                block.append(pack("XGROUP", "CREATECONSUMER", scratch, group["name"], consumer["name"]))
        return block

    def has(self, router: Router, key: bytes, chunk: StreamChunk) -> bool:
        step = len(chunk.entries) + 1
        entries: dict[bytes, list[bytes]] = dict(router.call(key, "XRANGE", key, chunk.start, chunk.end, "COUNT", step))
        if entries != chunk.entries:
            return False
        there = [
            found
            for group in group_names(router, key)
            for found in _pending(router, key, group, (chunk.start, chunk.end), max(step, 100))
        ]
        return len(there) == len(chunk.pending) and all(
            one.is_like(other) for one, other in zip(chunk.pending, there, strict=True)
        )

    def has_equal_metadata(self, one: Router, key: bytes, other: Router, scratch: bytes, *, counters: bool) -> bool:
        """Whether two streams have the same last id, counters, groups and consumers."""
        return bool(self._metadata(one, key, counters=counters) == self._metadata(other, scratch, counters=counters))

    def _metadata(self, router: Router, key: bytes, *, counters: bool) -> Any:
        about = _facts(router.call(key, "XINFO", "STREAM", key))
        kept = ["length", "last-generated-id", *(["entries-added", "max-deleted-entry-id"] if counters else [])]
        group_fields = ["name", "last-delivered-id", "pending", *(["entries-read"] if counters else [])]
        groups = sorted(
            (
                [group[name] for name in group_fields],
                sorted(_facts(row)["name"] for row in router.call(key, "XINFO", "CONSUMERS", key, group["name"])),
            )
            for group in map(_facts, router.call(key, "XINFO", "GROUPS", key))
        )
        return [about[name] for name in kept], groups


def _delete_ghosts(key: bytes, chunk: StreamChunk, ghosts: set[bytes]) -> list[bytes]:
    """The commands that delete the ghosts: pending entries that the stream no longer has.

    Entries removed by XTRIM precede all others.
    They are trimmed here too, since XDEL would change the stream's counters.
    """
    first = min(map(order, chunk.entries), default=None)
    trimmed = {ghost for ghost in ghosts if chunk.start == _FIRST and (first is None or order(ghost) < first)}
    block = []
    if trimmed:
        keep = ["MINID", b"%d-%d" % first] if first else ["MAXLEN", 0]
        block.append(pack("XTRIM", key, *keep))
    if deleted := ghosts - trimmed:
        block.append(pack("XDEL", key, *deleted))
    return block


def order(identity: bytes) -> tuple[int, int]:
    """Sort key of an entry id."""
    milliseconds, _, sequence = identity.partition(b"-")
    return int(milliseconds), int(sequence)


def _next(identity: bytes) -> bytes:
    """The entry id that follows; servers before 6.2 support no exclusive ranges."""
    milliseconds, sequence = order(identity)
    return b"%d-%d" % ((milliseconds, sequence + 1) if sequence < MAX_SEQUENCE else (milliseconds + 1, 0))


def group_names(router: Router, key: bytes) -> list[bytes]:
    """The sorted names of a stream's groups; empty if the key does not exist."""
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
        start = _next(page[-1][0])


def _facts(pairs: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
