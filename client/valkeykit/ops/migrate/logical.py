"""One key, by commands: put together under another name, then given its own, so that nobody sees a part of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from redis.exceptions import RedisError, ResponseError

from valkeykit.ops.migrate import shapes
from valkeykit.ops.migrate.options import SCRATCH
from valkeykit.ops.migrate.reader import NEVER, expiries, raise_first
from valkeykit.ops.migrate.router import Router, slot_of, tag_of
from valkeykit.ops.migrate.shapes import SLICE_BYTES, SLICE_ELEMENTS, Shape
from valkeykit.ops.migrate.streams import Stream
from valkeykit.ops.migrate.wire import pack

ATTEMPTS = 3
"""A key that changes its type or goes away while it is read is looked at again."""

_CHANGED = ("WRONGTYPE", "no such key", "NOGROUP")


class ChangedError(Exception):
    """The key went away or became another while it was read."""


@dataclass(frozen=True)
class Pair:
    """A database on both sides."""

    source: Router
    target: Router

    def shape(self, kind: str) -> Shape:
        """How values of a type are read and written here."""
        if kind == "hash":
            return shapes.Hash(field_ttl=self.source.server.has_field_ttl and self.target.server.has_field_ttl)
        plain: dict[str, Callable[[], Shape]] = {
            "string": shapes.String, "list": shapes.List, "set": shapes.Set, "zset": shapes.SortedSet, "stream": Stream,
        }  # fmt: skip
        return plain[kind]()

    @property
    def counts_entries(self) -> bool:
        """Whether both count a stream's entries: since 7.0."""
        return self.source.server.has_functions and self.target.server.has_functions

    def copy(self, key: bytes, name: bytes, kind: str, weight: int, *, replace: bool,
             between: Callable[[], None] = lambda: None) -> bool:  # fmt: skip
        """Copy one key; False where `replace` is off and the target has it.

        weight: bytes of memory that it takes at the source.
        between: called between two slices.

        Raises:
            ChangedError: it went away or became another meanwhile.
        """
        place = beside(name)
        self.target.call(place, "UNLINK", place)
        try:
            with _watched():
                self._fill(key, place, kind, weight, between)
            return self._name(key, place, name, replace=replace)
        except BaseException:
            with contextlib.suppress(RedisError):
                self.target.reset()
                self.target.call(place, "UNLINK", place)
            raise

    def _fill(self, key: bytes, place: bytes, kind: str, weight: int, between: Callable[[], None]) -> None:
        shape = self.shape(kind)
        if isinstance(shape, Stream):
            self._send(place, shape.begin(self.source, key, place))
        for piece in shape.slices(self.source, key, self._step(shape, key, kind, weight)):
            block = shape.write(place, piece)
            raise_first(self.target.receive())
            self._send(place, block)
            between()
        raise_first(self.target.receive())
        if isinstance(shape, Stream):
            self._send(place, shape.finish(self.source, key, place, counters=self.counts_entries))
            raise_first(self.target.receive())

    def _send(self, place: bytes, block: list[bytes]) -> None:
        raise_first(self.target.receive())
        self.target.send([place] * len(block), block)

    def _name(self, key: bytes, place: bytes, name: bytes, *, replace: bool) -> bool:
        expires = expiries(self.source, [key])[0]
        if not self.source.call(key, "EXISTS", key):
            raise ChangedError
        block = [pack("PEXPIREAT", place, expires)] if expires != NEVER else []
        if replace:
            block += [pack("UNLINK", name), pack("RENAME", place, name)]
        else:
            block += [pack("RENAMENX", place, name)]
        answers = self.target.ask([place] * len(block), block)
        if isinstance(answers[-1], ResponseError) and "no such key" in str(answers[-1]):
            return True  # it ended while it was copied, here as there
        raise_first(answers)
        return replace or bool(answers[-1])

    def equal(self, key: bytes, name: bytes, kind: str, weight: int, *,
              between: Callable[[], None] = lambda: None) -> bool:  # fmt: skip
        """Whether both sides have the same value; when they end is not compared.

        Raises:
            ChangedError: the source's went away or became another meanwhile.
        """
        shape = self.shape(kind)
        with _watched():
            if shape.length(self.source, key) != self._there(shape, name):
                return False
            for piece in shape.slices(self.source, key, self._step(shape, key, kind, weight)):
                if not shape.has(self.target, name, piece):
                    return False
                between()
            return not isinstance(shape, Stream) or shape.ends_like(
                self.source, key, self.target, name, counters=self.counts_entries
            )

    def _there(self, shape: Shape, name: bytes) -> int:
        try:
            return shape.length(self.target, name)
        except ResponseError as problem:
            if "WRONGTYPE" in str(problem):
                return -1
            raise

    def _step(self, shape: Shape, key: bytes, kind: str, weight: int) -> int:
        """Elements of a slice; bytes, for a string."""
        if kind == "string":
            return SLICE_BYTES
        each = max(1, weight // max(1, shape.length(self.source, key)))
        return max(1, min(SLICE_ELEMENTS, SLICE_BYTES // each))


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Tells a key that changed under our hands from other refusals."""
    try:
        yield
    except ResponseError as problem:
        if any(text in str(problem) for text in _CHANGED):
            raise ChangedError from None
        raise


def beside(name: bytes) -> bytes:
    """Another name in the same slot of a cluster, for the time until a key is complete."""
    tag = tag_of(name)
    if tag and b"}" not in tag:
        return SCRATCH + b"{" + tag + b"}" + (name if tag != name else b"")
    slot, plain = slot_of(name), name.replace(b"{", b"(")
    return next(place for number in count() if slot_of(place := SCRATCH + b"%d:%b" % (number, plain)) == slot)
