"""Traces of jobs with OpenTelemetry: spans of producers and workers, and the trace context that a job carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from valkeykit.errors import ConfigurationError
from valkeykit.installation import install_extra
from valkeykit.queue.job_events import logger
from valkeykit.queue.outcomes import describe, describe_traceback

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from valkeykit.queue.job import Job

SYSTEM = "valkey"
"""Value of the attribute `messaging.system`."""

MAX_STATE_CHARACTERS = 2048
"""Characters of a tracestate that a job carries; a longer one is left out."""

_STATE_CHARACTERS = "=,@*/:!#$&'()+.~"
"""Characters of a tracestate that a record can contain as they are."""


class ProducerSpan:
    """The span of a producer. trace: its context, for the records of the jobs; "" if there is none."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace = _trace_of(span)

    def added(self, job_id: str) -> None:
        """Note the id of the job."""
        self._span.set_attribute("messaging.message.id", job_id)

    def added_many(self, number: int) -> None:
        """Note how many jobs were added."""
        self._span.set_attribute("messaging.batch.message_count", number)


class Tracing:
    """Spans of a queue's jobs with OpenTelemetry (extra `otel`), by its conventions for messaging.

    `add` and `add_many` make a span of a producer, whose context the jobs carry. Each attempt of a job is a span of a
    consumer below it, and the current span of its handler. Producers and workers each need a queue with tracing.

    Args:
        tracer_provider: None for the global one.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.

    Example:
        >>> queue = Queue("mail", tracing=Tracing())
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError:
            raise ConfigurationError("traces need opentelemetry-api", fix=install_extra("otel")) from None
        self._tracer = trace.get_tracer("valkeykit", tracer_provider=tracer_provider)

    @contextmanager
    def producing(self, queue: str, job_name: str) -> Iterator[ProducerSpan]:
        """Open a span while jobs are added. It isn't made the current one.

        Args:
            queue: Name of the queue.
            job_name: Name of the jobs.

        Returns:
            A context manager with the span.
        """
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span(
            f"add {queue}", kind=SpanKind.PRODUCER, attributes=_attributes("send", "add", queue, job_name)
        )
        try:
            yield ProducerSpan(span)
        except BaseException as error:
            _note_error(span, error)
            raise
        finally:
            span.end()

    def begin(self, job: Job) -> None:
        """Start the span of an attempt and make it the current one of this context. The end of the job ends it.

        Whatever goes wrong with spans is logged, and the job runs.

        Args:
            job: The job that this attempt runs.
        """
        from opentelemetry import context, trace

        try:
            attributes = _attributes("process", "process", job.queue, job.name)
            attributes |= {"messaging.message.id": job.id, "valkeykit.job.attempt": job.attempt}
            span = self._tracer.start_span(
                f"process {job.queue}", _context_of(job.trace), kind=trace.SpanKind.CONSUMER, attributes=attributes
            )
            context.attach(trace.set_span_in_context(span))
            job.trace = _trace_of(span)
            job.end_span = partial(_end, span)
        except Exception:  # noqa: BLE001  (whatever an exporter raises)
            logger.exception("queue %s: the span of job %s failed", job.queue, job.id)


def enter_trace(text: str) -> None:
    """Make the span of a trace context, that of another process, the current one of this context."""
    from opentelemetry import context, trace

    context.attach(trace.set_span_in_context(trace.get_current_span(_context_of(text))))


def _attributes(kind: str, operation: str, queue: str, job_name: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": kind,
        "messaging.operation.name": operation,
        "messaging.destination.name": queue,
        "valkeykit.job.name": job_name,
    }


def _trace_of(span: Span) -> str:
    """The context of a span as a record contains it."""
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    fields: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(fields, set_span_in_context(span))
    state = quote(fields.get("tracestate", ""), safe=_STATE_CHARACTERS)
    return fields.get("traceparent", "") + (f";{state}" if 0 < len(state) <= MAX_STATE_CHARACTERS else "")


def _context_of(text: str) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent, _, state = text.partition(";")
    fields = {"traceparent": parent} | ({"tracestate": unquote(state)} if state else {})
    return TraceContextTextMapPropagator().extract(fields, Context())


def _end(span: Span, error: BaseException | None) -> None:
    try:
        if error is not None:
            _note_error(span, error)
        span.end()
    except Exception:  # noqa: BLE001  (whatever an exporter raises)
        logger.exception("a span failed")


def _note_error(span: Span, error: BaseException) -> None:
    """As `record_exception` does, also for an error whose text can't be read and for one of a child process."""
    from opentelemetry.trace import Status, StatusCode

    text = describe(error)
    kind = text.partition(":")[0]
    about = {"exception.type": kind, "exception.message": text, "exception.stacktrace": describe_traceback(error)}
    span.add_event("exception", about)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, text))
