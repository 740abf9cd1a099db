"""All queues that were used on a server: their counts and their workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from valkeykit.errors import InvalidJobError
from valkeykit.fast_connection import FastConnection
from valkeykit.queue.activity import WorkerState
from valkeykit.queue.protocol import QueueProtocol, ScriptCall
from valkeykit.queue.responses import QueueStatistics
from valkeykit.queue.schema import REGISTRY_KEY

T = TypeVar("T")

LIVE_REPORT_SECONDS = 60.0
"""A worker is live if it reported within this time."""


@dataclass(frozen=True)
class QueueReading:
    """A queue at one moment. workers: those that are live."""

    name: str
    counts: QueueStatistics
    workers: list[WorkerState]

    @property
    def is_neglected(self) -> bool:
        """Whether jobs wait or are due and no worker takes them."""
        return self.counts.waiting + self.counts.due > 0 and not self.workers and not self.counts.paused


def read_queues(connection: FastConnection) -> Iterator[QueueReading]:
    """Read each queue of the server, by name. It changes nothing, and registers none."""
    names = (_decode(name) for name in connection.send("SMEMBERS", REGISTRY_KEY))
    for name in sorted(names):
        with suppress(InvalidJobError):  # no queue has such a name
            calls = QueueProtocol(name)
            counts, workers = ask(connection, calls.statistics()), ask(connection, calls.workers())
            yield QueueReading(name, counts, live_workers(workers))


def ask(connection: FastConnection, call: ScriptCall[T]) -> T:
    """Send a call once."""
    return call.read(connection.run(call.script, call.keys, call.arguments))


def live_workers(listed: list[WorkerState]) -> list[WorkerState]:
    """The workers that reported recently."""
    return [one for one in listed if one.last_report_seconds < LIVE_REPORT_SECONDS]


def _decode(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
