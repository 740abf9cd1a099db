"""Spans of jobs, from the producer to each attempt."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from valkeykit import Queue
from valkeykit.queue import JobFilter, Tracing

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client import process_handlers
from tests.integration.client.running_worker import running_worker, settled


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def current_trace_id() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def test_each_attempt_is_a_span_below_that_of_its_producer(
    server: ServerProcess, exporter: InMemorySpanExporter, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(JobFilter())
    with Queue("mail", server.url, retry_for=2, tracing=Tracing(provider)) as queue:

        @queue.handler(attempts=2, backoff=0, result_ttl=60)
        def fail_once() -> str:
            if len(fails) < 1:
                fails.append(1)
                raise ValueError("no")
            with provider.get_tracer("app").start_as_current_span("inner"):
                return current_trace_id()

        @queue.handler(result_ttl=60)
        async def coroutine(n: int) -> str:
            logging.getLogger("app").warning("hello %d", n)
            return current_trace_id()

        queue.handler(name="child", process=True, result_ttl=60)(process_handlers.trace_id)
        fails: list[int] = []
        with provider.get_tracer("app").start_as_current_span("request") as request:
            failing = queue.add(fail_once).id
            many = queue.add_many(coroutine, [{"n": 1}, {"n": 2}])
            child = queue.add("child", key="once").id
        untraced = Queue("mail", server.url).add("coroutine", {"n": 3}).id
        with running_worker(queue):
            wait_until(lambda: settled(queue))
        expected = f"{request.get_span_context().trace_id:032x}"
        assert [queue.result(job) for job in (failing, *many, child)] == [expected] * 4
        assert queue.result(untraced) not in {expected, "0" * 32}

    spans = exporter.get_finished_spans()
    producers = {attributes(span)["valkeykit.job.name"]: span for span in spans if span.kind == SpanKind.PRODUCER}
    consumers: dict[object, list[ReadableSpan]] = {}
    for span in spans:
        if span.kind == SpanKind.CONSUMER:
            consumers.setdefault(attributes(span)["messaging.message.id"], []).append(span)
    assert set(producers) == {"fail_once", "coroutine", "child"}
    assert all(parent_of(span) == request.get_span_context().span_id for span in producers.values())
    assert attributes(producers["coroutine"])["messaging.batch.message_count"] == 2
    assert attributes(producers["child"])["messaging.message.id"] == child
    for job, name in ((failing, "fail_once"), (many[0], "coroutine"), (many[1], "coroutine"), (child, "child")):
        assert {parent_of(span) for span in consumers[job]} == {id_of(producers[name])}
    first, second = consumers[failing]
    assert [attributes(span)["valkeykit.job.attempt"] for span in (first, second)] == [1, 2]
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert (first.status.description, attributes(first)["error.type"]) == ("ValueError: no", "ValueError")
    assert "fail_once" in str((first.events[0].attributes or {})["exception.stacktrace"])
    (inner,) = [span for span in spans if span.name == "inner"]
    assert parent_of(inner) == id_of(second)
    assert (first.name, producers["child"].name) == ("process mail", "add mail")
    assert parent_of(consumers[untraced][0]) is None
    logged = {record.getMessage(): vars(record)["trace_id"] for record in caplog.records}
    assert logged["hello 1"] == expected
    assert logged[f"queue mail: job {failing} (fail_once) failed at attempt 1: ValueError: no"] == expected


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def id_of(span: ReadableSpan) -> int | None:
    return None if span.context is None else span.context.span_id


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id
