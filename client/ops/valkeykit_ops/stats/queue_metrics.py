"""Metrics of queues and workers for Prometheus. Every scrape queries the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from redis.exceptions import RedisError
from valkeykit.connection import open_client
from valkeykit.error_translation import translate_error
from valkeykit.errors import ValkeykitError
from valkeykit.fast_connection import FastConnection
from valkeykit.queue.job_events import logger
from valkeykit.queue.registry import QueueReading, read_queues
from valkeykit.settings import ConnectionSettings

Value = Callable[[QueueReading], float]

COUNTERS: Mapping[str, tuple[Value, str]] = {
    "completed": (lambda one: one.counts.completed, "Jobs completed"),
    "dead_lettered": (lambda one: one.counts.failed, "Jobs that became dead letters"),
    "retried": (lambda one: one.counts.retried, "Attempts that failed and were retried"),
    "cancelled": (lambda one: one.counts.cancelled, "Jobs that were cancelled or purged"),
    "leases_lost": (lambda one: one.counts.lost, "Leases that a worker did not renew"),
    "run_seconds": (lambda one: one.counts.run_ms / 1000, "Seconds that completed jobs ran"),
}
"""Values and descriptions by name, without the prefix `valkeykit_queue_` and the suffix `_total`."""

GAUGES: Mapping[str, tuple[Value, str]] = {
    "due_jobs": (lambda one: one.counts.due, "Delayed jobs whose time has come"),
    "oldest_job_age_seconds": (lambda one: one.counts.oldest_ms / 1000, "Age of the oldest waiting job"),
    "paused": (lambda one: one.counts.paused, "Whether the queue is paused"),
    "workers": (lambda one: len(one.workers), "Workers that reported within a minute"),
    "worker_concurrency": (lambda one: sum(worker.concurrency for worker in one.workers), "Jobs that workers can run"),
}
"""Values and descriptions by name, without the prefix `valkeykit_queue_`."""

STATES = ("waiting", "active", "delayed", "dead")


class QueueCollector:
    """Reads all queues in each scrape, over a connection that is kept.

    Args:
        settings: How to connect. The user must be able to read the queues.
        strict: Raise where they can't be read.
    """

    def __init__(self, settings: ConnectionSettings, *, strict: bool) -> None:
        self._strict = strict
        self._settings = replace(settings, decode=False)
        self._connection: FastConnection | None = None
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        readings = self._readings()
        up = GaugeMetricFamily("valkeykit_queues_up", "Whether the queues can be read")
        up.add_metric([], float(readings is not None))
        yield up
        jobs = GaugeMetricFamily("valkeykit_queue_jobs", "Jobs by state", labels=["queue", "state"])
        for one in readings or []:
            for state in STATES:
                jobs.add_metric([one.name, state], getattr(one.counts, state))
        yield jobs
        for kind, values in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for name, (value_of, description) in values.items():
                family = kind(f"valkeykit_queue_{name}", description, labels=["queue"])
                for one in readings or []:
                    family.add_metric([one.name], float(value_of(one)))
                yield family

    def _readings(self) -> list[QueueReading] | None:
        """All queues; None if the server does not respond or rejects the user."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = FastConnection(open_client(self._settings))
                return list(read_queues(self._connection))
            except (RedisError, ValkeykitError) as error:
                if self._strict:
                    raise
                logger.warning("queues can't be read: %s", translate_error(error))
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                return None
