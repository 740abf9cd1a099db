"""Value codecs: read and write values in chunks, with commands.

They are for values that are too large for one payload, or whose payload the target cannot read.
A chunk may be written twice, except for strings and lists, which are read by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from valkeykit_ops.migrate.pipelined import pack
from valkeykit_ops.migrate.router import Router

CHUNK_BYTES = 1 << 20
"""Approximate size of a chunk."""

CHUNK_ELEMENTS = 5000


class ValueCodec(Protocol):
    """Codec for one type of value."""

    def length(self, router: Router, key: bytes) -> int:
        """Number of elements, or bytes of a string; 0 for a missing key."""

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[Any]:
        """The whole value, about `step` elements (bytes of a string) per chunk."""

    def write(self, key: bytes, chunk: Any) -> list[bytes]:
        """The commands that append a chunk."""

    def has(self, router: Router, key: bytes, chunk: Any) -> bool:
        """Whether a key has all of a chunk."""


class StringCodec:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "STRLEN", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[tuple[int, bytes]]:
        start, chunk = 0, router.call(key, "GETRANGE", key, 0, step - 1)
        yield start, chunk  # an empty string is a value too
        while chunk:
            start += len(chunk)
            chunk = router.call(key, "GETRANGE", key, start, start + step - 1)
            if chunk:
                yield start, chunk

    def write(self, key: bytes, chunk: tuple[int, bytes]) -> list[bytes]:
        return [pack("APPEND", key, chunk[1])]

    def has(self, router: Router, key: bytes, chunk: tuple[int, bytes]) -> bool:
        start, text = chunk
        return bool(router.call(key, "GETRANGE", key, start, start + len(text) - 1) == text)


class ListCodec:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "LLEN", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[tuple[int, list[bytes]]]:
        start = 0
        while chunk := router.call(key, "LRANGE", key, start, start + step - 1):
            yield start, chunk
            start += len(chunk)

    def write(self, key: bytes, chunk: tuple[int, list[bytes]]) -> list[bytes]:
        return [pack("RPUSH", key, *chunk[1])]

    def has(self, router: Router, key: bytes, chunk: tuple[int, list[bytes]]) -> bool:
        start, elements = chunk
        return bool(router.call(key, "LRANGE", key, start, start + len(elements) - 1) == elements)


def _scanned(router: Router, command: str, key: bytes, step: int) -> Iterator[list[bytes]]:
    cursor = b"0"
    while True:
        cursor, page = router.call(key, command, key, cursor, "COUNT", step)
        if page:
            yield page
        if cursor == b"0":
            return


class SetCodec:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "SCARD", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[list[bytes]]:
        return _scanned(router, "SSCAN", key, step)

    def write(self, key: bytes, chunk: list[bytes]) -> list[bytes]:
        return [pack("SADD", key, *chunk)]

    def has(self, router: Router, key: bytes, chunk: list[bytes]) -> bool:
        return all(router.call(key, "SMISMEMBER", key, *chunk))


class SortedSetCodec:
    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "ZCARD", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[list[tuple[bytes, bytes]]]:
        for page in _scanned(router, "ZSCAN", key, step):
            yield list(zip(page[::2], page[1::2], strict=True))

    def write(self, key: bytes, chunk: list[tuple[bytes, bytes]]) -> list[bytes]:
        return [pack("ZADD", key, *(word for member, score in chunk for word in (score, member)))]

    def has(self, router: Router, key: bytes, chunk: list[tuple[bytes, bytes]]) -> bool:
        scores = router.call(key, "ZMSCORE", key, *(member for member, _ in chunk))
        return all(
            there is not None and float(there) == float(score) for there, (_, score) in zip(scores, chunk, strict=True)
        )


class HashCodec:
    """Reads and writes hashes in chunks.

    Args:
        field_ttl: Whether both servers support field TTLs.

    Attributes:
        has_seen_expired: Whether a field had expired that the server had not removed yet; HLEN counts such fields.
    """

    def __init__(self, *, field_ttl: bool) -> None:
        self.field_ttl = field_ttl
        self.has_seen_expired = False

    def length(self, router: Router, key: bytes) -> int:
        return int(router.call(key, "HLEN", key))

    def chunks(self, router: Router, key: bytes, step: int) -> Iterator[list[tuple[bytes, bytes, int]]]:
        """Field, value and expiry time: milliseconds since the epoch, -1 for none."""
        for page in _scanned(router, "HSCAN", key, step):
            fields, texts = page[::2], page[1::2]
            ends = field_expiries(router, key, fields) if self.field_ttl else [-1] * len(fields)
            self.has_seen_expired = self.has_seen_expired or _MISSING_KEY_TTL in ends
            yield [
                (field, text, end)
                for field, text, end in zip(fields, texts, ends, strict=True)
                if end != _MISSING_KEY_TTL
            ]

    def live_fields(self, router: Router, key: bytes, step: int) -> int:
        """Number of fields that have not expired."""
        return len({field for chunk in self.chunks(router, key, step) for field, _, _ in chunk})

    def write(self, key: bytes, chunk: list[tuple[bytes, bytes, int]]) -> list[bytes]:
        if not chunk:
            return []
        block = [pack("HSET", key, *(word for field, text, _ in chunk for word in (field, text)))]
        for end in {end for _, _, end in chunk if end >= 0}:
            fields = [field for field, _, other in chunk if other == end]
            block.append(pack("HPEXPIREAT", key, end, "FIELDS", len(fields), *fields))
        return block

    def has(self, router: Router, key: bytes, chunk: list[tuple[bytes, bytes, int]]) -> bool:
        if not chunk:
            return True
        fields = [field for field, _, _ in chunk]
        if router.call(key, "HMGET", key, *fields) != [text for _, text, _ in chunk]:
            return False
        return not self.field_ttl or field_expiries(router, key, fields) == [end for _, _, end in chunk]


_MISSING_KEY_TTL = -2


def field_expiries(router: Router, key: bytes, fields: list[bytes]) -> list[int]:
    """Expiry time of each field: milliseconds since the epoch, -1 for none, -2 for a missing field."""
    ends = router.call(key, "HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
    return ends if ends is not None else [_MISSING_KEY_TTL] * len(fields)


def has_field_ttls(router: Router, key: bytes) -> bool:
    """Whether fields of a hash have TTLs; its server must support them."""
    pages = HashCodec(field_ttl=True).chunks(router, key, CHUNK_ELEMENTS)
    return any(end >= 0 for page in pages for _, _, end in page)
