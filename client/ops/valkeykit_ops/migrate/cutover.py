"""Cut-over: pauses writes, and counts them in the server's own statistics."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from redis.exceptions import RedisError
from valkeykit.errors import RefusedError

from valkeykit_ops.migrate.server import MigrationServer, Primary, fields_of

RENEWALS_PER_PAUSE = 3
"""How often a pause is renewed before it ends."""

NOT_KEY_WRITES = frozenset({"publish", "spublish"})
"""Commands that servers flag as writes although they change no key."""


class WriteCounter:
    """Counts write commands by the server's statistics."""

    def __init__(self, server: MigrationServer) -> None:
        self._server = server
        self._writing = writing_commands(server)

    def total(self) -> int:
        """Number of write commands since the server's start.

        Raises:
            RefusedError: The server has no command statistics.
        """
        return sum(self.of(primary) for primary in self._server.primaries())

    def of(self, primary: Primary) -> int:
        """Number of write commands of one primary.

        Raises:
            RefusedError: It has no command statistics.
        """
        lines = self._server.info(primary.node, "commandstats")
        if not lines:
            raise RefusedError(
                "the source has no command statistics, so it is unknown whether writes have stopped",
                fix="stop the writers, then run valkeykit migrate run",
            )
        commands = {name: name.removeprefix("cmdstat_").partition("|")[0].lower() for name in lines}
        return sum(
            int(fields_of(value).get("calls", 0)) for name, value in lines.items() if commands[name] in self._writing
        )


def writing_commands(server: MigrationServer) -> set[str]:
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
            primary.name: {"run_id": server.info(primary.node, "server")["run_id"], "writes": counter.of(primary)}
            for primary in server.primaries()
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
def paused(server: MigrationServer, seconds: float) -> Iterator[None]:
    """Pause writes at the source in the context, and for up to `seconds` after its end or a kill.

    After an error the pause ends at once.
    Otherwise it expires, so there is time to stop or move the writers.

    Raises:
        redis.RedisError: The user or the service does not permit CLIENT PAUSE.
    """
    ended = threading.Event()
    _each(server, "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
    thread = threading.Thread(target=_renew, args=(server, seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        ended.set()
        thread.join()
        with contextlib.suppress(RedisError):
            _each(server, "CLIENT", "UNPAUSE")
        raise
    finally:
        ended.set()
        thread.join()


def _renew(server: MigrationServer, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds / RENEWALS_PER_PAUSE):
        with contextlib.suppress(RedisError):
            _each(server, "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")


def _each(server: MigrationServer, *words: str | int) -> None:
    for primary in server.primaries():
        server.command(primary.node, *words)
