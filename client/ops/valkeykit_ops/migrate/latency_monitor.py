"""Latency monitor: regular PINGs on a connection of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from redis.exceptions import RedisError

from valkeykit_ops.migrate.migration_server import MigrationServer, Primary

LATENCY_INTERVAL_SECONDS = 0.05
"""Pause between two PINGs."""


class LatencyMonitor:
    """Measures the latency of each primary while the context is open.

    Args:
        on_sample: Called with milliseconds, from several threads.
    """

    def __init__(self, server: MigrationServer, on_sample: Callable[[float], None]) -> None:
        self._server = server
        self._on_sample = on_sample
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(primary,), daemon=True) for primary in server.primaries()
        ]

    def __enter__(self) -> LatencyMonitor:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _run(self, primary: Primary) -> None:
        while not self._closing.wait(LATENCY_INTERVAL_SECONDS):
            try:
                self._ping(primary)
            except RedisError:  # the copy reports a server that is down
                continue

    def _ping(self, primary: Primary) -> None:
        connection = self._server.connect(primary.node)
        try:
            while not self._closing.wait(LATENCY_INTERVAL_SECONDS):
                began = time.perf_counter()
                connection.call("PING")
                self._on_sample((time.perf_counter() - began) * 1000)
        finally:
            connection.close()
