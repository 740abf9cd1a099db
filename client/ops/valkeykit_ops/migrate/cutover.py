"""Cut-over: pauses writes, and detects them in the server's own statistics."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from valkeykit.errors import RefusedError

from valkeykit_ops.migrate.migration_server import InspectedServer, MigrationServer, Primary, calls_of

NOT_KEY_WRITES = frozenset({"publish", "spublish"})
"""Commands that servers flag as writes although they change no key."""


@dataclass(frozen=True)
class WriteMark:
    """What a primary reports about writes at one moment.

    Attributes:
        changes: Changes since the last snapshot; None if it does not report them.
        saved_at: Time of the last snapshot.
        calls: Calls of commands that can write.
    """

    run_id: str
    changes: int | None
    saved_at: str
    calls: dict[str, int]

    def writes_since(self, before: WriteMark) -> dict[str, int]:
        """Calls by command since then; empty if no data changed, whatever commands ran."""
        if self.run_id != before.run_id:
            return {"restart": 1}
        grown = {name: calls - before.calls.get(name, 0) for name, calls in self.calls.items()}
        called = {name: number for name, number in grown.items() if number > 0}
        if self.changes is None or before.changes is None or self.saved_at != before.saved_at:
            return called
        if self.changes == before.changes:
            return {}
        return called or {"a script or a module": abs(self.changes - before.changes)}


class WriteCounter:
    """Detects writes by what changed data, in the server's statistics: a command that finds nothing is not a write."""

    def __init__(self, server: MigrationServer) -> None:
        self._server = server
        self._writing = writing_commands(server)

    def marks(self) -> dict[str, WriteMark]:
        """The state of each primary.

        Raises:
            RefusedError: The server has no command statistics.
        """
        return {primary.name: self.mark(primary) for primary in self._server.primaries()}

    def mark(self, primary: Primary) -> WriteMark:
        """The state of one primary.

        Raises:
            RefusedError: It has no command statistics.
        """
        info = self._server.info(primary.node, "server", "persistence", "commandstats")
        every = calls_of(info)
        if not every:
            raise RefusedError(
                "the source has no command statistics, so it is unknown whether writes have stopped",
                fix="stop the writers, then run valkeykit migrate run",
            )
        calls = {command: number for command, number in every.items() if command in self._writing}
        changes = info.get("rdb_changes_since_last_save")
        return WriteMark(
            info["run_id"], None if changes is None else int(changes), info.get("rdb_last_save_time", ""), calls
        )


def writes_between(before: dict[str, WriteMark], after: dict[str, WriteMark]) -> dict[str, int]:
    """Calls by command between two moments, at all primaries; empty if no data changed."""
    writes: dict[str, int] = {}
    for name, mark in after.items():
        since = mark.writes_since(before[name]) if name in before else {"failover": 1}
        for command, number in since.items():
            writes[command] = writes.get(command, 0) + number
    return writes


def writing_commands(server: InspectedServer) -> set[str]:
    """The names of the commands that write keys.

    Raises:
        redis.RedisError: The user may not run COMMAND.
    """
    rows = server.command(server.primaries()[0].node, "COMMAND")
    return {row[0].decode().lower() for row in rows if b"write" in _flags(row[2])} - NOT_KEY_WRITES


def write_marks(server: MigrationServer) -> dict[str, dict[str, Any]] | None:
    """The number of write commands of each primary, with its run id; None if the user may not query it."""
    try:
        counter = WriteCounter(server)
        return {
            name: {"run_id": mark.run_id, "writes": sum(mark.calls.values())} for name, mark in counter.marks().items()
        }
    except (RedisError, RefusedError):
        return None


def writes_since(server: MigrationServer, marks: dict[str, dict[str, Any]] | None) -> int | None:
    """Write commands since the marks; None if a server was restarted or its statistics were reset."""
    now = write_marks(server)
    if marks is None or now is None or marks.keys() != now.keys():
        return None
    pairs = [(marks[name], now[name]) for name in now]
    if any(one["run_id"] != other["run_id"] or one["writes"] > other["writes"] for one, other in pairs):
        return None
    return sum(int(other["writes"]) - int(one["writes"]) for one, other in pairs)


def _flags(row: list[object]) -> set[bytes]:
    return {flag if isinstance(flag, bytes) else str(flag).encode() for flag in row}


@contextlib.contextmanager
def paused(server: MigrationServer, seconds: float) -> Iterator[float]:
    """Pause writes at the source, from now on for `seconds`, also after the end of the context or a kill.

    The context has the time at which the pause ends, by the monotonic clock.
    After an error the pause ends at once.

    Raises:
        redis.RedisError: The user or the service does not permit CLIENT PAUSE.
    """
    ends = time.monotonic() + seconds
    _each(server, "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
    try:
        yield ends
    except BaseException:
        with contextlib.suppress(RedisError):
            _each(server, "CLIENT", "UNPAUSE")
        raise


def _each(server: MigrationServer, *words: str | int) -> None:
    for primary in server.primaries():
        server.command(primary.node, *words)
