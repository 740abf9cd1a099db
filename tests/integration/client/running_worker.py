"""A worker that runs in a thread during a test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from valkeykit import Queue, Worker

from harness.waiting import WAIT_SECONDS


@contextmanager
def running_worker(queue: Queue, **options: Any) -> Iterator[Worker]:
    """A worker that runs during the test and is stopped at its end."""
    worker = Worker(queue, **({"concurrency": 4, "shutdown_timeout": 2} | options))
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(worker.serve())
        except BaseException as error:  # noqa: BLE001  (the test gets it)
            failure.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
        if failure:
            raise failure[0]


def settled(queue: Queue) -> bool:
    counts = queue.statistics()
    return counts.waiting == counts.active == counts.delayed == 0


def take(queue: Queue, limit: int = 100, worker: str = "w", lease_ms: int = 30_000) -> list[tuple[str, int]]:
    """What a worker gets: ids and attempts."""
    return [
        (key.decode(), attempt) for key, attempt, _ in queue.send(queue.protocol.take(worker, limit, lease_ms)).jobs
    ]
