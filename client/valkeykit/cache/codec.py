"""Codec of values: a mark, then the value, compressed if that is smaller."""

from __future__ import annotations

import json
import zlib
from typing import Any, Protocol

from valkeykit.cache.validation import check_count
from valkeykit.errors import ConfigurationError

COMPRESS_FROM_BYTES = 4096
"""Bytes from which on a value is compressed."""

_PLAIN = b"\x01"
_COMPRESSED = b"\x02"


class Serializer(Protocol):
    """Converts values to bytes and back."""

    def dumps(self, value: Any) -> bytes:
        """Convert a value to bytes. What it raises is reported as an error of the caller.

        Args:
            value: What the application stores.

        Returns:
            The value as bytes.
        """
        ...

    def loads(self, data: bytes) -> Any:
        """Convert bytes back. What it raises counts as a miss.

        Args:
            data: What `dumps` returned, or what another program stored.

        Returns:
            The value.
        """
        ...


class JsonSerializer:
    """Serializes as JSON, which every language reads. Reading it is safe even if others can write to the server."""

    _encode = staticmethod(json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode)

    def dumps(self, value: Any) -> bytes:
        """Convert a value to compact JSON.

        Args:
            value: A value that `json.dumps` takes.

        Returns:
            JSON in UTF-8.

        Raises:
            TypeError: The value has no form in JSON.
            ValueError: The value refers to itself.
        """
        return self._encode(value).encode()

    def loads(self, data: bytes) -> Any:
        """Read JSON.

        Args:
            data: JSON in UTF-8.

        Returns:
            The value; tuples are lists.

        Raises:
            ValueError: It isn't JSON.
        """
        return json.loads(data)


class CorruptEntryError(Exception):
    """The stored bytes are not an entry of this cache. Counts as a miss."""


class Codec:
    """Encodes values as entries: serialized, and compressed from a size on.

    Args:
        serializer: None for JSON.
        compress_from: Bytes from which on values are compressed; None for never.
    """

    def __init__(self, serializer: Serializer | None = None, compress_from: int | None = COMPRESS_FROM_BYTES) -> None:
        self._serializer = serializer or JsonSerializer()
        self._compress_from = None if compress_from is None else check_count("compress_from", compress_from)

    def encode(self, value: Any) -> bytes:
        """Raises ConfigurationError if the serializer rejects the value."""
        return self._pack(self._dump(value))

    def decode(self, entry: bytes) -> Any:
        """Raises CorruptEntryError if `encode` did not write these bytes."""
        mark = entry[:1]
        try:
            if mark == _PLAIN:
                return self._serializer.loads(entry[1:])
            if mark == _COMPRESSED:
                return self._serializer.loads(zlib.decompress(entry[1:]))
        except Exception as problem:  # noqa: BLE001  (a pluggable serializer may raise anything)
            raise CorruptEntryError(str(type(problem))) from None
        raise CorruptEntryError("no such mark")

    def encode_and_read(self, value: Any) -> tuple[bytes, Any]:
        """Encode a value; returns the entry and the value as readers get it.

        Raises:
            ConfigurationError: The serializer rejects the value, or its own output.
        """
        data = self._dump(value)
        try:
            read = self._serializer.loads(data)
        except Exception as problem:  # noqa: BLE001  (a pluggable serializer may raise anything)
            raise _unusable(problem) from None
        return self._pack(data), read

    def _dump(self, value: Any) -> bytes:
        try:
            data = self._serializer.dumps(value)
        except Exception as problem:  # noqa: BLE001  (a pluggable serializer may raise anything)
            raise _unusable(problem) from None
        if not isinstance(data, bytes):
            raise _unusable(TypeError(f"dumps() returned {type(data).__name__}, expected bytes"))
        return data

    def _pack(self, data: bytes) -> bytes:
        if self._compress_from is not None and len(data) >= self._compress_from:
            packed = zlib.compress(data, 1)
            if len(packed) < len(data):
                return _COMPRESSED + packed
        return _PLAIN + data


def _unusable(problem: Exception) -> ConfigurationError:
    return ConfigurationError(f"the value can't be cached: {problem}", fix="store plain data, or pass a serializer")
