"""What a worker does, as events: for logs, metrics and traces."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

logger = logging.getLogger("valkeykit.queue")


class Event(NamedTuple):
    """kind: completed, failed (it will be tried again), dead, cancelled or lost. seconds: that it ran."""

    kind: str
    queue: str
    job_id: str
    job_name: str
    attempt: int
    seconds: float
    error: BaseException | None = None


Listener = Callable[[Event], None]
"""Called in the worker's loop after each job; it must not block."""


def log(event: Event) -> None:
    """The listener that every worker has: one line for each job that went wrong."""
    if event.error is None:
        return
    text = f"{type(event.error).__name__}: {event.error}"
    level = logging.ERROR if event.kind == "dead" else logging.WARNING
    logger.log(
        level, "queue %s: job %s (%s) %s at attempt %d: %s",
        event.queue, event.job_id, event.job_name, event.kind, event.attempt, text[:500],
    )  # fmt: skip


def telemetry(meter_provider: object = None) -> Listener:
    """A listener that counts and times jobs with OpenTelemetry (extra `otel`).

    Metrics: valkeykit.jobs (counter) and valkeykit.job.duration (histogram, s), by queue, job and kind.
    """
    from opentelemetry import metrics

    meter = metrics.get_meter("valkeykit", meter_provider=meter_provider)  # type: ignore[arg-type]
    jobs = meter.create_counter("valkeykit.jobs", "{job}", "Jobs that ended, by how they did")
    duration = meter.create_histogram("valkeykit.job.duration", "s", "How long an attempt ran")

    def listen(event: Event) -> None:
        attributes = {"queue": event.queue, "job": event.job_name, "kind": event.kind}
        jobs.add(1, attributes)
        duration.record(event.seconds, attributes)

    return listen
