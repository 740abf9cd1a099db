"""The moment of the change: writes stop, or are paused, and that is seen rather than believed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from redis.exceptions import RedisError

from valkeykit.errors import RefusedError
from valkeykit.ops.migrate.server import Server, fields_of

RENEW = 3
"""A pause is renewed so many times within its own length."""

WHEREVER = frozenset({"publish", "spublish"})
"""Commands that servers count among the writing ones, and that change no key."""


class Writes:
    """Counts the writing commands that a server has run, by its own statistics."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._writing = self._writing_commands()

    def total(self) -> int:
        """Calls of writing commands since the server's start.

        Raises:
            RefusedError: the server doesn't say.
        """
        found = 0
        for primary in self._server.primaries():
            lines = self._server.info(primary.node, "commandstats")
            if not lines:
                raise RefusedError(
                    "the source keeps no command statistics, so whether writes have stopped can't be seen",
                    fix="stop the writers yourself and run the command without --cut-over",
                )
            for name, value in lines.items():
                command = name.removeprefix("cmdstat_").partition("|")[0].lower()
                if command in self._writing:
                    found += int(fields_of(value).get("calls", 0))
        return found

    def _writing_commands(self) -> set[str]:
        rows = self._server.ask(self._server.primaries()[0].node, "COMMAND")
        return {row[0].decode().lower() for row in rows if b"write" in _flags(row[2])} - WHEREVER


def _flags(row: list[object]) -> set[bytes]:
    return {flag if isinstance(flag, bytes) else str(flag).encode() for flag in row}


@contextlib.contextmanager
def paused(server: Server, seconds: float) -> Iterator[None]:
    """No client writes at the source inside, and for up to `seconds` after a kill or the end.

    On an error the pause ends at once; otherwise it runs out by itself, so that the
    writers can be stopped or moved meanwhile.

    Raises:
        redis.RedisError: the user may not, or the service doesn't allow it.
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


def _renew(server: Server, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds / RENEW):
        with contextlib.suppress(RedisError):
            _each(server, "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")


def _each(server: Server, *words: str | int) -> None:
    for primary in server.primaries():
        server.ask(primary.node, *words)
