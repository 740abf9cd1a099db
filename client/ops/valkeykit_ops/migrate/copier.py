"""Copy of keys of one database: small keys as payloads in blocks, large keys in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redis.exceptions import ResponseError

from valkeykit_ops.migrate import commands, reader
from valkeykit_ops.migrate.command_copy import MAX_ATTEMPTS, ChangedError, CommandCopier, DatabasePair
from valkeykit_ops.migrate.options import TYPES
from valkeykit_ops.migrate.payload import TransferMode
from valkeykit_ops.migrate.reader import Value
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import NO_FIELD_TTLS, RunContext
from valkeykit_ops.migrate.target_writer import TargetWriter
from valkeykit_ops.migrate.value_codecs import has_field_ttls

BLOCK_BYTES = 4 << 20
"""Maximum memory at the source of the keys in one block."""

_BAD_PAYLOAD = ("Bad data format", "DUMP payload")


class Copier:
    """Copies keys of one database. Not thread-safe.

    Args:
        removes: Whether keys that the source does not have are removed from the target.
    """

    def __init__(self, context: RunContext, database: int, *, removes: bool = False) -> None:
        self._context = context
        self._database = database
        self._removes = removes
        self._pair = DatabasePair(Router(context.source, database), Router(context.target, database))
        self._writer = TargetWriter(context, database, self._pair.target)
        self._by_commands = CommandCopier(self._pair, self._writer, context.ownership.scratch_prefix)
        self._sent: list[tuple[bytes, Value, int]] = []

    def close(self) -> None:
        """Close the connections; keys that were not flushed may be lost."""
        self._pair.source.close()
        self._pair.target.close()

    def handle(self, keys: Sequence[bytes]) -> None:
        """Copy keys; the last ones may be pending until `flush`.

        Raises:
            redis.RedisError: A server failed or rejected a command; keys of earlier calls are copied.
        """
        in_scope_keys = in_scope(self._context, self._pair.source, keys)
        weights = reader.weights(self._pair.source, in_scope_keys) if in_scope_keys else []
        small: list[tuple[bytes, int]] = []
        large: list[tuple[bytes, int]] = []
        gone: list[bytes] = []
        for key, weight in zip(in_scope_keys, weights, strict=True):
            if weight is None:
                gone.append(key)
            else:
                (large if weight > self._context.options.chunk_above else small).append((key, weight))
        for block in blocks(small):
            self._copy_block(block, gone)
        if large or gone:
            self.flush()
        for key, weight in large:
            self._copy_large(key, weight)
        self._remove(gone)

    def flush(self) -> None:
        """Wait until all pending keys are copied."""
        answers = self._writer.receive()
        sent, self._sent = self._sent, []
        refused: list[tuple[bytes, int]] = []
        copied = size = 0
        for (key, value, weight), answer in zip(sent, answers, strict=True):
            if not isinstance(answer, ResponseError):
                copied += 1
                size += len(value.payload)
            elif str(answer).startswith("BUSYKEY"):
                self._context.counters.add("kept")
            elif any(text in str(answer) for text in _BAD_PAYLOAD):
                refused.append((key, weight))
            else:
                raise answer
        self._context.counters.add("copied", copied)
        self._context.counters.add("bytes", size)
        for key, weight in refused:
            self._copy_large(key, weight)

    def _copy_block(self, block: list[tuple[bytes, int]], gone: list[bytes]) -> None:
        usage = self._context.usage
        values = reader.used_values(self._pair.source, [key for key, _ in block], usage)
        self.flush()
        names, restores, by_commands = [], [], []
        for (key, weight), read in zip(block, values, strict=True):
            if read is None:
                gone.append(key)
                continue
            value, number = read
            mode = self._context.target.format.transfer_mode(value.payload)
            size = len(value.payload)
            if mode in {TransferMode.BY_COMMANDS, TransferMode.UNSUPPORTED} or size > BLOCK_BYTES:
                by_commands.append((key, max(weight, size)))  # the server estimated the weight from a few elements
                continue
            payload = (
                value.payload if mode is TransferMode.AS_IS else self._context.target.format.rewrite(value.payload)
            )
            name = self._context.options.scope.name(key)
            names.append(name)
            used = (usage, number) if usage is not None and number is not None else None
            restores.append(commands.restore(name, value.expires, payload, replace=self._context.overwrites, used=used))
            self._sent.append((key, value, weight))
        if names:
            self._writer.send_restores(names, restores)
        if by_commands:
            self.flush()
            for key, weight in by_commands:
                self._copy_large(key, weight)

    def _copy_large(self, key: bytes, weight: int) -> None:
        name = self._context.options.scope.name(key)
        if not self._context.overwrites and self._pair.target.call(name, "EXISTS", name):
            self._context.counters.add("kept")
            return
        for _ in range(MAX_ATTEMPTS):
            kind = reader.types(self._pair.source, [key])[0]
            if kind == "none":
                self._remove([key])
                return
            if kind not in TYPES:
                self._context.skip(self._database, key, kind, "the target does not support this type")
                return
            try:
                there = self._by_commands.copy(
                    key, name, kind, weight, replace=self._context.overwrites, between=self._context.check_stop
                )
            except ChangedError:
                continue
            self._context.counters.add("copied" if there else "kept")
            self._context.counters.add("chunked")
            if kind == "hash" and self._pair.loses_field_ttls and has_field_ttls(self._pair.source, key):
                self._context.skip(self._database, key, kind, NO_FIELD_TTLS)
            self._context.counters.add("bytes", weight)
            return
        self._context.counters.add("unstable")  # it changes too often; the next pass copies it

    def _remove(self, keys: list[bytes]) -> None:
        if not keys or not self._removes:
            return
        names = [self._context.options.scope.name(key) for key in keys]
        self._context.counters.add("removed", self._writer.remove(names))


def in_scope(context: RunContext, source: Router, keys: Sequence[bytes]) -> list[bytes]:
    """The keys in scope of the options."""
    scope = context.options.scope
    in_scope_keys = [key for key in keys if scope.takes(key)]
    if not scope.types or not in_scope_keys:
        return in_scope_keys
    kinds = reader.types(source, in_scope_keys)
    return [key for key, kind in zip(in_scope_keys, kinds, strict=True) if kind in scope.types or kind == "none"]


def blocks(keys: list[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    """Split keys into groups of at most BLOCK_BYTES."""
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
