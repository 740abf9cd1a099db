"""Comparison of small values whose payloads differ, many per round trip.

Payloads of equal values differ between versions that encode them differently, such as sets since Redis 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from valkeykit_ops.migrate.command_copy import DatabasePair
from valkeykit_ops.migrate.pipelined import pack

BatchKind = Literal["string", "list", "set", "zset", "hash"]

_TYPE_BYTES: dict[BatchKind, tuple[int, ...]] = {
    "string": (0,),
    "list": (1, 10, 14, 18),
    "set": (2, 11, 20),
    "zset": (3, 5, 12, 17),
    "hash": (4, 9, 13, 16),
}
"""The first byte of payloads; hashes with field TTLs, streams and modules have others."""

_KINDS: dict[int, BatchKind] = {byte: kind for kind, numbers in _TYPE_BYTES.items() for byte in numbers}

_READS: dict[BatchKind, Callable[[bytes], bytes]] = {
    "string": lambda key: pack("GET", key),
    "list": lambda key: pack("LRANGE", key, 0, -1),
    "set": lambda key: pack("SMEMBERS", key),
    "zset": lambda key: pack("ZRANGE", key, 0, -1, "WITHSCORES"),
    "hash": lambda key: pack("HGETALL", key),
}


class DifferingPayloads(NamedTuple):
    """A key whose payloads differ. name: its name at the target."""

    key: bytes
    name: bytes
    source: bytes
    target: bytes

    @property
    def kind(self) -> BatchKind | None:
        """The type of both values; None if they must be compared closely."""
        kind = _KINDS.get(self.source[0])
        return kind if kind == _KINDS.get(self.target[0]) else None


def are_equal(pair: DatabasePair, rows: Sequence[DifferingPayloads]) -> list[bool]:
    """Whether the values of each key are equal; False also for values that must be compared closely."""
    result = [False] * len(rows)
    reads = [(index, row, kind) for index, row in enumerate(rows) if (kind := row.kind) is not None]
    if not reads:
        return result
    pair.source.send([row.key for _, row, _ in reads], [_READS[kind](row.key) for _, row, kind in reads])
    pair.target.send([row.name for _, row, _ in reads], [_READS[kind](row.name) for _, row, kind in reads])
    for (index, _, kind), one, other in zip(reads, pair.source.receive(), pair.target.receive(), strict=True):
        result[index] = _is_equal(kind, one, other)
    return result


def _is_equal(kind: BatchKind, one: Any, other: Any) -> bool:
    if kind == "string":
        return isinstance(one, bytes) and one == other
    if not (isinstance(one, list) and isinstance(other, list) and len(one) == len(other)):
        return False  # one of them has changed
    if kind == "list":
        return one == other
    if kind == "set":
        return set(one) == set(other)
    pairs, others = (dict(zip(words[::2], words[1::2], strict=True)) for words in (one, other))
    if kind == "zset" and pairs != others:  # versions write the same number differently
        return pairs.keys() == others.keys() and all(float(pairs[name]) == float(others[name]) for name in pairs)
    return pairs == others
