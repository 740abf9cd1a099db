"""Trace contexts in records, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from valkeykit import Queue, errors
from valkeykit.queue import Tracing, tracing
from valkeykit.queue.handlers import Handler
from valkeykit.queue.job import Job
from valkeykit.queue.job_options import JobOptions, JobRequest, JobSpec
from valkeykit.queue.protocol import QueueProtocol
from valkeykit.queue.schema import NewerFormatError, name_of, read_record
from valkeykit.queue.worker.job_executor import JobExecutor

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
SPEC = JobSpec("send", priority=3, left_open=frozenset({"timeout"}))


def record(request: JobRequest) -> bytes:
    """As the server stores it."""
    _, _, line, _, payload = QueueProtocol("mail").add(request).arguments
    return f"v1 1 - {line}\n{payload.decode()}".encode()


@pytest.mark.parametrize("context", ["", TRACE, f"{TRACE};a=b,c=1%202"])
def test_a_record_has_room_for_a_trace_context(context: str) -> None:
    stored = record(JobRequest(SPEC, b"{}", trace=context))
    assert read_record(stored) == (SPEC, b"{}", context)
    assert name_of(stored) == "send"
    assert read_record(stored)[0] is read_record(record(JobRequest(SPEC, b"{}")))[0]  # it is read once


@pytest.mark.parametrize("field", ["eu", "00-abc", TRACE.upper(), f"{TRACE};", f"01{TRACE[2:]}"])
def test_another_further_field_is_that_of_a_newer_version(field: str) -> None:
    with pytest.raises(NewerFormatError):
        read_record(record(JobRequest(SPEC, b"{}", trace=field)))


def test_a_context_is_the_same_after_its_way() -> None:
    state = TraceState([("vendor", "a b;c"), ("x", "1")])
    context = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    text = tracing._trace_of(NonRecordingSpan(context))
    assert read_record(record(JobRequest(SPEC, b"{}", trace=text)))[2] == text
    assert trace.get_current_span(tracing._context_of(text)).get_span_context() == context
    long = TraceState([(f"k{n}", "v" * 250) for n in range(30)])
    text = tracing._trace_of(NonRecordingSpan(SpanContext(7, 9, is_remote=True, trace_state=long)))
    assert text == f"00-{7:032x}-{9:016x}-00"


def test_without_a_tracer_jobs_carry_nothing() -> None:
    with Tracing(trace.NoOpTracerProvider()).producing("mail", "send") as span:
        assert span.trace == ""


def test_a_job_runs_though_its_span_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("exporter")

    async def run() -> Any:
        traces = Tracing(TracerProvider())
        executor = JobExecutor(1, lambda: None, tracing=traces)
        monkeypatch.setattr(traces, "_tracer", type("Broken", (), {"start_span": fail})())
        executor.submit([Job(b"1", 1, JobSpec("note"), b"{}", Handler("note", lambda: 5, False, JobOptions()))])
        while not executor.outcomes:
            await asyncio.sleep(0.01)
        executor.close()
        return executor.outcomes[0].value

    assert asyncio.run(run()) == 5
    assert "the span of job 1 failed" in caplog.text


def test_traces_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(errors.ConfigurationError, match=r"traces need opentelemetry-api -> pip install"):
        Queue("mail", tracing=Tracing())
