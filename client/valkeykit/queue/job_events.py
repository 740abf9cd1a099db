"""Events of a worker, for logs, metrics and traces."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from valkeykit.errors import OperationTimeoutError, ValkeykitError
from valkeykit.queue.log_fields import fields
from valkeykit.queue.outcomes import describe
from valkeykit.vocabulary import EventKind

logger = logging.getLogger("valkeykit.queue")

_LEVELS: dict[EventKind, int] = {"completed": logging.INFO, "dead": logging.ERROR}

LEASE_ENDED = OperationTimeoutError("its worker didn't renew the lease")
"""The error of events about jobs of other workers."""


class Event(NamedTuple):
    """The end of an attempt.

    Attributes:
        kind: completed, failed (it will be retried), dead, cancelled or lost (the lease expired).
        queue: Name of the queue.
        job_id: The job's id.
        job_name: The job's name.
        attempt: Number of the attempt.
        seconds: Duration of the attempt; 0 if this worker only found that the lease of another one had ended.
        error: Why it did not complete.
        trace_id: Id of its trace in hexadecimal; "" if it isn't traced.
    """

    kind: EventKind
    queue: str
    job_id: str
    job_name: str
    attempt: int
    seconds: float
    error: BaseException | None = None
    trace_id: str = ""


Listener = Callable[[Event], None]
"""Called in the worker's loop after each job; it must not block."""


def publish(listeners: Sequence[Listener], event: Event) -> None:
    """Call the listeners. Whatever one of them raises is logged, and the others are called."""
    for listener in listeners:
        try:
            listener(event)
        except BaseException:
            logger.exception("queue %s: a listener failed", event.queue)


def log(event: Event) -> None:
    """The listener that every worker has: one line for each attempt, at level INFO for completed jobs."""
    level = _LEVELS.get(event.kind, logging.WARNING)
    if not logger.isEnabledFor(level):
        return
    is_completed = event.kind == "completed"
    logger.log(
        level, "queue %s: job %s (%s) %s %s",
        event.queue, event.job_id, event.job_name, event.kind,
        f"in {event.seconds:.3f} s" if is_completed else f"at attempt {event.attempt}{_reason(event.error)}",
        extra=fields(event.queue, event.job_id, event.job_name, event.attempt, event.trace_id),
    )  # fmt: skip


def log_trouble(error: Exception, text: str, *arguments: object) -> None:
    """Log what a worker survives: one line for an error of ours, a traceback for any other."""
    if isinstance(error, ValkeykitError):
        logger.warning(text + ": %s", *arguments, error)
    else:
        logger.error(text, *arguments, exc_info=error)


def _reason(error: BaseException | None) -> str:
    return "" if error is None else f": {describe(error)[:500]}"


def telemetry(meter_provider: object = None) -> Listener:
    """Create a listener that counts and times jobs with OpenTelemetry (extra `otel`).

    Metrics: valkeykit.jobs (counter) and valkeykit.job.duration (histogram, s), by queue, job and kind.

    Args:
        meter_provider: None for the global one.

    Returns:
        A listener for `Worker`.

    Example:
        >>> Worker(queue, listeners=[telemetry()]).run()
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
