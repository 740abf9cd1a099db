"""Copy and comparison of single keys with commands.

A key is assembled under a scratch name and then renamed, so clients never see a part of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from redis.exceptions import RedisError, ResponseError

from valkeykit_ops.migrate import value_codecs
from valkeykit_ops.migrate.reader import expiries, raise_first
from valkeykit_ops.migrate.router import Router, slot_of, tag_of
from valkeykit_ops.migrate.streams import StreamCodec
from valkeykit_ops.migrate.target_writer import TargetWriter
from valkeykit_ops.migrate.value_codecs import CHUNK_BYTES, CHUNK_ELEMENTS, HashCodec, ValueCodec

MAX_ATTEMPTS = 3
"""How often a key is read that changes its type or is deleted while it is read."""

_CHANGED = ("WRONGTYPE", "no such key", "NOGROUP")


class ChangedError(Exception):
    """The key was deleted or replaced while it was read."""


@dataclass(frozen=True)
class DatabasePair:
    """The same database on both servers."""

    source: Router
    target: Router

    def codec(self, kind: str) -> ValueCodec:
        """The codec for a type of value."""
        if kind == "hash":
            return HashCodec(field_ttl=self.source.server.has_field_ttl and self.target.server.has_field_ttl)
        plain: dict[str, Callable[[], ValueCodec]] = {
            "string": value_codecs.StringCodec,
            "list": value_codecs.ListCodec,
            "set": value_codecs.SetCodec,
            "zset": value_codecs.SortedSetCodec,
            "stream": StreamCodec,
        }
        return plain[kind]()

    @property
    def loses_field_ttls(self) -> bool:
        """Whether only the source supports TTLs of hash fields."""
        return self.source.server.has_field_ttl and not self.target.server.has_field_ttl

    @property
    def counts_entries(self) -> bool:
        """Whether both servers count a stream's entries (7.0 and newer)."""
        return self.source.server.has_functions and self.target.server.has_functions

    def equal(self, key: bytes, name: bytes, kind: str, weight: int, *,
              between: Callable[[], None] = lambda: None) -> bool:  # fmt: skip
        """Whether both servers have the same value; expiry times are not compared.

        Raises:
            ChangedError: The source's key was deleted or replaced in the meantime.
        """
        codec = self.codec(kind)
        with _detecting_changes():
            has_equal_length = codec.length(self.source, key) == self._target_length(codec, name)
            expires = isinstance(codec, HashCodec) and codec.field_ttl
            if not (has_equal_length or expires):
                return False
            step = self.step(codec, key, kind, weight)
            for chunk in codec.chunks(self.source, key, step):
                if not codec.has(self.target, name, chunk):
                    return False
                between()
            if isinstance(codec, HashCodec) and (codec.has_seen_expired or not has_equal_length):
                return codec.live_fields(self.source, key, step) == codec.live_fields(self.target, name, step)
            return not isinstance(codec, StreamCodec) or codec.has_equal_metadata(
                self.source, key, self.target, name, counters=self.counts_entries
            )

    def _target_length(self, codec: ValueCodec, name: bytes) -> int:
        try:
            return codec.length(self.target, name)
        except ResponseError as problem:
            if "WRONGTYPE" in str(problem):
                return -1
            raise

    def step(self, codec: ValueCodec, key: bytes, kind: str, weight: int) -> int:
        """Elements per chunk; bytes for a string."""
        if kind == "string":
            return CHUNK_BYTES
        each = max(1, weight // max(1, codec.length(self.source, key)))
        return max(1, min(CHUNK_ELEMENTS, CHUNK_BYTES // each))


class CommandCopier:
    """Copies single keys between two databases with commands.

    Args:
        prefix: Prefix of the scratch names.
    """

    def __init__(self, pair: DatabasePair, writer: TargetWriter, prefix: bytes) -> None:
        self._pair = pair
        self._writer = writer
        self._prefix = prefix

    def copy(self, key: bytes, name: bytes, kind: str, weight: int, *, replace: bool,
             between: Callable[[], None] = lambda: None) -> bool:  # fmt: skip
        """Copy one key; return False if `replace` is off and the target has it.

        Args:
            weight: Bytes of memory at the source.
            between: Called between two chunks.

        Raises:
            ChangedError: It was deleted or replaced in the meantime.
        """
        scratch = scratch_key(name, self._prefix)
        self._writer.remove_scratch([scratch])
        try:
            with _detecting_changes():
                self._fill(key, scratch, kind, weight, between)
            return self._writer.publish(scratch, name, self._expiry(key), replace=replace)
        except BaseException:
            with contextlib.suppress(RedisError):
                self._pair.target.reset()
                self._writer.remove_scratch([scratch])
            raise

    def _expiry(self, key: bytes) -> int:
        expires = expiries(self._pair.source, [key])[0]
        if not self._pair.source.call(key, "EXISTS", key):
            raise ChangedError
        return expires

    def _fill(self, key: bytes, scratch: bytes, kind: str, weight: int, between: Callable[[], None]) -> None:
        codec = self._pair.codec(kind)
        if isinstance(codec, StreamCodec):
            self._send(scratch, codec.begin(self._pair.source, key, scratch))
        for chunk in codec.chunks(self._pair.source, key, self._pair.step(codec, key, kind, weight)):
            block = codec.write(scratch, chunk)
            raise_first(self._writer.receive())
            self._send(scratch, block)
            between()
        raise_first(self._writer.receive())
        if isinstance(codec, StreamCodec):
            self._send(scratch, codec.finish(self._pair.source, key, scratch, counters=self._pair.counts_entries))
            raise_first(self._writer.receive())

    def _send(self, scratch: bytes, block: list[bytes]) -> None:
        raise_first(self._writer.receive())
        self._writer.append(scratch, block)


@contextlib.contextmanager
def _detecting_changes() -> Iterator[None]:
    """Raise ChangedError for errors of a key that changed while it was read."""
    try:
        yield
    except ResponseError as problem:
        if any(text in str(problem) for text in _CHANGED):
            raise ChangedError from None
        raise


def scratch_key(name: bytes, prefix: bytes) -> bytes:
    """A name in the same cluster slot for a key that is not complete yet."""
    tag = tag_of(name)
    if tag and b"}" not in tag:
        return prefix + b"{" + tag + b"}" + (name if tag != name else b"")
    slot, plain = slot_of(name), name.replace(b"{", b"(")
    return next(scratch for number in count() if slot_of(scratch := prefix + b"%d:%b" % (number, plain)) == slot)
