"""The only place that writes keys to the target. It checks who owns them, and counts the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from valkeykit_ops.migrate import commands, reader
from valkeykit_ops.migrate.pipelined import pack
from valkeykit_ops.migrate.reader import NO_EXPIRY_MS
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext


class TargetWriter:
    """Writes keys of one database. Not thread-safe.

    Args:
        router: The connections; other commands may use them between two calls.
    """

    def __init__(self, context: RunContext, database: int, router: Router) -> None:
        self._context = context
        self._database = database
        self._router = router

    def send_restores(self, names: Sequence[bytes], restores: Sequence[bytes]) -> None:
        """Send RESTORE commands; `receive` returns the replies."""
        self._context.ownership.check(self._database, names)
        self._context.target_calls.add("restore", len(names))
        self._router.send(names, restores)

    def receive(self) -> list[Any]:
        """The replies to the commands sent last; errors are among them."""
        return self._router.receive()

    def remove(self, names: Sequence[bytes]) -> int:
        """Delete keys, except those that the target had before the migration; return how many there were.

        Raises:
            UnsafeOperationError: They are out of scope, or it is unknown whether a client deleted them at the source.
            redis.RedisError: The target rejected it.
        """
        if not names:
            return 0
        self._context.ownership.check(self._database, names)
        deletable = self._context.ownership.deletable(self._database, names, reader.types(self._router, names))
        if not deletable:
            return 0
        self._context.source_guard.check_deletions(len(deletable))
        return self._unlink(deletable)

    def remove_scratch(self, names: Sequence[bytes]) -> None:
        """Delete incomplete keys of this migration."""
        self._unlink([name for name in names if name.startswith(self._context.ownership.scratch_prefix)])

    def append(self, scratch: bytes, block: Sequence[bytes]) -> None:
        """Send commands that extend an incomplete key; `receive` returns the replies."""
        self._context.ownership.check(self._database, [scratch])
        for command in block:
            self._context.target_calls.add(command.split(b"\r\n", 3)[2].decode().lower())
        self._router.send([scratch] * len(block), block)

    def publish(self, scratch: bytes, name: bytes, expires: int, *, replace: bool) -> bool:
        """Give a complete key its name and expiry time; return False if `replace` is off and the target has it."""
        self._context.ownership.check(self._database, [name])
        block = [pack("PEXPIREAT", scratch, expires)] if expires != NO_EXPIRY_MS else []
        if replace:
            block += [pack("UNLINK", name), pack("RENAME", scratch, name)]
        else:
            block += [pack("RENAMENX", scratch, name)]
        self.append(scratch, block)
        answers = self.receive()
        if isinstance(answers[-1], ResponseError) and "no such key" in str(answers[-1]):
            return True  # it expired during the copy, on both servers
        reader.raise_first(answers)
        return replace or bool(answers[-1])

    def _unlink(self, names: Sequence[bytes]) -> int:
        self._context.target_calls.add("unlink", len(names))
        answers = self._router.request(names, [commands.unlink(name) for name in names])
        reader.raise_first(answers)
        return sum(answers)
