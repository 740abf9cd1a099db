"""Values by commands, in slices: for what is too big for one payload, or whose payload the target can't read.

Each shape reads slices of a key, writes them to another key, and tells whether a key on
the other side has them. A slice that comes twice does no harm, except to strings and lists,
which are read by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.wire import pack

SLICE_BYTES = 1 << 20
"""What a slice holds, about."""

SLICE_ELEMENTS = 5000


class Shape(Protocol):
    """One type of value."""

    def length(self, router: Router, key: bytes) -> int:
        """Elements, or bytes of a string; 0 for a key that is gone."""

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[Any]:
        """All of it, about `step` elements (bytes of a string) at a time."""

    def write(self, key: bytes, piece: Any) -> list[bytes]:
        """The commands that append a slice."""

    def has(self, router: Router, key: bytes, piece: Any) -> bool:
        """Whether the key there has all of a slice."""


class String:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "STRLEN", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[tuple[int, bytes]]:
        start, piece = 0, router.call(key, "GETRANGE", key, 0, step - 1)
        yield start, piece  # an empty string is a value too
        while piece:
            start += len(piece)
            piece = router.call(key, "GETRANGE", key, start, start + step - 1)
            if piece:
                yield start, piece

    def write(self, key: bytes, piece: tuple[int, bytes]) -> list[bytes]:
        return [pack("APPEND", key, piece[1])]

    def has(self, router: Router, key: bytes, piece: tuple[int, bytes]) -> bool:
        start, text = piece
        return bool(router.call(key, "GETRANGE", key, start, start + len(text) - 1) == text)


class List:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "LLEN", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[tuple[int, list[bytes]]]:
        start = 0
        while piece := router.call(key, "LRANGE", key, start, start + step - 1):
            yield start, piece
            start += len(piece)

    def write(self, key: bytes, piece: tuple[int, list[bytes]]) -> list[bytes]:
        return [pack("RPUSH", key, *piece[1])]

    def has(self, router: Router, key: bytes, piece: tuple[int, list[bytes]]) -> bool:
        start, elements = piece
        return bool(router.call(key, "LRANGE", key, start, start + len(elements) - 1) == elements)


def _scanned(router: Router, command: str, key: bytes, step: int) -> Iterator[list[bytes]]:
    cursor = b"0"
    while True:
        cursor, page = router.call(key, command, key, cursor, "COUNT", step)
        if page:
            yield page
        if cursor == b"0":
            return


class Set:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "SCARD", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[list[bytes]]:
        return _scanned(router, "SSCAN", key, step)

    def write(self, key: bytes, piece: list[bytes]) -> list[bytes]:
        return [pack("SADD", key, *piece)]

    def has(self, router: Router, key: bytes, piece: list[bytes]) -> bool:
        return all(router.call(key, "SMISMEMBER", key, *piece))


class SortedSet:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "ZCARD", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[list[tuple[bytes, bytes]]]:
        for page in _scanned(router, "ZSCAN", key, step):
            yield list(zip(page[::2], page[1::2], strict=True))

    def write(self, key: bytes, piece: list[tuple[bytes, bytes]]) -> list[bytes]:
        return [pack("ZADD", key, *(word for member, score in piece for word in (score, member)))]

    def has(self, router: Router, key: bytes, piece: list[tuple[bytes, bytes]]) -> bool:
        scores = router.call(key, "ZMSCORE", key, *(member for member, _ in piece))
        return all(
            there is not None and float(there) == float(score) for there, (_, score) in zip(scores, piece, strict=True)
        )


class Hash:
    """field_ttl: whether both sides know TTLs of fields."""

    def __init__(self, *, field_ttl: bool) -> None:
        self._field_ttl = field_ttl

    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "HLEN", key))

    def slices(self, router: Router, key: bytes, step: int) -> Iterator[list[tuple[bytes, bytes, int]]]:
        """Field, value, and when the field ends: milliseconds since the epoch, -1 for never."""
        for page in _scanned(router, "HSCAN", key, step):
            fields, texts = page[::2], page[1::2]
            ends = field_ends(router, key, fields) if self._field_ttl else [-1] * len(fields)
            yield [(field, text, end) for field, text, end in zip(fields, texts, ends, strict=True) if end != _GONE]

    def write(self, key: bytes, piece: list[tuple[bytes, bytes, int]]) -> list[bytes]:
        if not piece:
            return []
        block = [pack("HSET", key, *(word for field, text, _ in piece for word in (field, text)))]
        for end in {end for _, _, end in piece if end >= 0}:
            fields = [field for field, _, other in piece if other == end]
            block.append(pack("HPEXPIREAT", key, end, "FIELDS", len(fields), *fields))
        return block

    def has(self, router: Router, key: bytes, piece: list[tuple[bytes, bytes, int]]) -> bool:
        if not piece:
            return True
        fields = [field for field, _, _ in piece]
        if router.call(key, "HMGET", key, *fields) != [text for _, text, _ in piece]:
            return False
        return not self._field_ttl or field_ends(router, key, fields) == [end for _, _, end in piece]


_GONE = -2


def field_ends(router: Router, key: bytes, fields: list[bytes]) -> list[int]:
    """When each field of a hash ends: milliseconds since the epoch, -1 for never, -2 where it is gone."""
    ends = router.call(key, "HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
    return ends if ends is not None else [_GONE] * len(fields)
