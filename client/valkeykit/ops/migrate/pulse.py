"""Feels how fast a server answers others: a PING now and then, on a connection that does nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from redis.exceptions import RedisError

from valkeykit.ops.migrate.server import Primary, Server

EVERY = 0.05
"""Seconds between two PINGs."""


class Pulse:
    """Measures each primary's latency while it is open.

    saw: called with milliseconds, from several threads.
    """

    def __init__(self, server: Server, saw: Callable[[float], None]) -> None:
        self._server = server
        self._saw = saw
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._feel, args=(primary,), daemon=True) for primary in server.primaries()
        ]

    def __enter__(self) -> Pulse:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _feel(self, primary: Primary) -> None:
        while not self._closing.wait(EVERY):
            try:
                self._beat(primary)
            except RedisError:  # the copy itself tells of a server that is gone
                continue

    def _beat(self, primary: Primary) -> None:
        wire = self._server.wire(primary.node)
        try:
            while not self._closing.wait(EVERY):
                began = time.perf_counter()
                wire.call("PING")
                self._saw((time.perf_counter() - began) * 1000)
        finally:
            wire.close()
