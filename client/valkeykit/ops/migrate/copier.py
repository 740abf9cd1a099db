"""Copies keys of one database: small ones as payloads in blocks, large ones in slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redis.exceptions import ResponseError

from valkeykit.ops.migrate import commands, reader
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.logical import ATTEMPTS, ChangedError, Pair
from valkeykit.ops.migrate.options import SCRATCH, TYPES
from valkeykit.ops.migrate.payload import Way
from valkeykit.ops.migrate.reader import Value
from valkeykit.ops.migrate.router import Router

BLOCK_BYTES = 4 << 20
"""Memory at the source of the keys whose payloads are under way at one moment."""

_BAD_PAYLOAD = ("Bad data format", "DUMP payload")


class Copier:
    """Copies keys of one database. Not for several threads.

    removes: whether a key that the source doesn't have is removed from the target.
    """

    def __init__(self, job: Job, database: int, *, removes: bool = False) -> None:
        self._job = job
        self._database = database
        self._removes = removes
        self._pair = Pair(Router(job.source, database), Router(job.target, database))
        self._sent: list[tuple[bytes, Value, int]] = []

    def close(self) -> None:
        """Close the connections; what wasn't flushed may be lost."""
        self._pair.source.close()
        self._pair.target.close()

    def handle(self, keys: Sequence[bytes]) -> None:
        """Copy keys; the last of them may be under way until `flush`.

        Raises:
            redis.RedisError: a side failed or refused; everything before the last call is copied.
        """
        meant = in_scope(self._job, self._pair.source, keys)
        weights = reader.weights(self._pair.source, meant) if meant else []
        small: list[tuple[bytes, int]] = []
        large: list[tuple[bytes, int]] = []
        gone: list[bytes] = []
        for key, weight in zip(meant, weights, strict=True):
            if weight is None:
                gone.append(key)
            else:
                (large if weight > self._job.options.slice_above else small).append((key, weight))
        for block in blocks(small):
            self._copy_block(block, gone)
        if large or gone:
            self.flush()
        for key, weight in large:
            self._copy_large(key, weight)
        self._remove(gone)

    def flush(self) -> None:
        """Wait until all is copied that was handed over."""
        answers = self._pair.target.receive()
        sent, self._sent = self._sent, []
        refused: list[tuple[bytes, int]] = []
        copied = size = 0
        for (key, value, weight), answer in zip(sent, answers, strict=True):
            if not isinstance(answer, ResponseError):
                copied += 1
                size += len(value.payload)
            elif str(answer).startswith("BUSYKEY"):
                self._job.tally.add("kept")
            elif any(text in str(answer) for text in _BAD_PAYLOAD):
                refused.append((key, weight))
            else:
                raise answer
        self._job.tally.add("copied", copied)
        self._job.tally.add("bytes", size)
        for key, weight in refused:
            self._copy_large(key, weight)

    def _copy_block(self, block: list[tuple[bytes, int]], gone: list[bytes]) -> None:
        values = reader.values(self._pair.source, [key for key, _ in block])
        self.flush()
        names, restores, by_commands = [], [], []
        for (key, weight), value in zip(block, values, strict=True):
            if value is None:
                gone.append(key)
                continue
            way = self._job.target.format.way(value.payload)
            if way in {Way.LOGICAL, Way.NOT}:
                by_commands.append((key, weight))
                continue
            payload = value.payload if way is Way.AS_IS else self._job.target.format.rewrite(value.payload)
            name = self._job.options.scope.name(key)
            names.append(name)
            restores.append(commands.restore(name, value.expires, payload, replace=self._job.overwrites))
            self._sent.append((key, value, weight))
        if names:
            self._pair.target.send(names, restores)
        if by_commands:
            self.flush()
            for key, weight in by_commands:
                self._copy_large(key, weight)

    def _copy_large(self, key: bytes, weight: int) -> None:
        name = self._job.options.scope.name(key)
        if not self._job.overwrites and self._pair.target.call(name, "EXISTS", name):
            self._job.tally.add("kept")
            return
        for _ in range(ATTEMPTS):
            kind = reader.types(self._pair.source, [key])[0]
            if kind == "none":
                self._remove([key])
                return
            if kind not in TYPES:
                self._job.refuse(self._database, key, kind, "the target has no such type")
                return
            try:
                there = self._pair.copy(
                    key, name, kind, weight, replace=self._job.overwrites, between=self._job.check_stop
                )
            except ChangedError:
                continue
            self._job.tally.add("copied" if there else "kept")
            self._job.tally.add("sliced")
            self._job.tally.add("bytes", weight)
            return
        self._job.tally.add("left")  # it changes all the time: the next pass has it

    def _remove(self, keys: list[bytes]) -> None:
        if not keys or not self._removes:
            return
        names = [self._job.options.scope.name(key) for key in keys]
        answers = self._pair.target.ask(names, [commands.unlink(name) for name in names])
        reader.raise_first(answers)
        self._job.tally.add("removed", sum(answers))


def in_scope(job: Job, source: Router, keys: Sequence[bytes]) -> list[bytes]:
    """Those that the options mean."""
    scope = job.options.scope
    meant = [key for key in keys if scope.takes(key) and not key.startswith(SCRATCH)]
    if not scope.types or not meant:
        return meant
    kinds = reader.types(source, meant)
    return [key for key, kind in zip(meant, kinds, strict=True) if kind in scope.types or kind == "none"]


def blocks(keys: list[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    """Keys in groups that together take no more than BLOCK_BYTES."""
    block: list[tuple[bytes, int]] = []
    size = 0
    for key, weight in keys:
        if block and size + weight > BLOCK_BYTES:
            yield block
            block, size = [], 0
        block.append((key, weight))
        size += weight
    if block:
        yield block
