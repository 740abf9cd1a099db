"""Cut-over: pauses writes, and counts them in the server's own statistics."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from redis.exceptions import RedisError
from valkeykit.errors import RefusedError

from valkeykit_ops.migrate.server import MigrationServer, fields_of

RENEWALS_PER_PAUSE = 3
"""How often a pause is renewed before it ends."""

NOT_KEY_WRITES = frozenset({"publish", "spublish"})
"""Commands that servers flag as writes although they change no key."""


class WriteCounter:
    """Counts write commands by the server's statistics."""

    def __init__(self, server: MigrationServer) -> None:
        self._server = server
        self._writing = self._writing_commands()

    def total(self) -> int:
        """Number of write commands since the server's start.

        Raises:
            RefusedError: The server has no command statistics.
        """
        calls = 0
        for primary in self._server.primaries():
            lines = self._server.info(primary.node, "commandstats")
            if not lines:
                raise RefusedError(
                    "the source has no command statistics, so it is unknown whether writes have stopped",
                    fix="stop the writers, then run valkeykit migrate copy",
                )
            for name, value in lines.items():
                command = name.removeprefix("cmdstat_").partition("|")[0].lower()
                if command in self._writing:
                    calls += int(fields_of(value).get("calls", 0))
        return calls

    def _writing_commands(self) -> set[str]:
        rows = self._server.command(self._server.primaries()[0].node, "COMMAND")
        return {row[0].decode().lower() for row in rows if b"write" in _flags(row[2])} - NOT_KEY_WRITES


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
