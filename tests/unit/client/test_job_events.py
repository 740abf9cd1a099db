from __future__ import annotations

import logging

import pytest
from valkeykit.queue import JobFilter
from valkeykit.queue.job_events import Event, log, telemetry


def test_each_attempt_is_logged_by_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "valkeykit.queue")
    log(Event("completed", "mail", "id1", "send", 1, 0.1))
    log(Event("failed", "mail", "id2", "send", 2, 0.1, ValueError("no")))
    log(Event("dead", "mail", "id3", "send", 5, 0.1, ValueError("never")))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "queue mail: job id1 (send) completed in 0.100 s"),
        ("WARNING", "queue mail: job id2 (send) failed at attempt 2: ValueError: no"),
        ("ERROR", "queue mail: job id3 (send) dead at attempt 5: ValueError: never"),
    ]


def test_records_about_jobs_have_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(JobFilter())
    log(Event("failed", "mail", "id2", "send", 2, 0.1, ValueError("no")))
    logging.getLogger("app").warning("outside")
    fields = [
        [getattr(record, name) for name in ("job_id", "job_name", "queue", "attempt")] for record in caplog.records
    ]
    assert fields == [["id2", "send", "mail", 2], ["-", "-", "-", "-"]]


def test_opentelemetry_gets_counts_and_durations() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    telemetry(provider)(Event("completed", "mail", "id", "send", 1, 0.25))
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    provider.shutdown()
    (point,) = metrics["valkeykit.jobs"].data.data_points
    assert point.attributes == {"queue": "mail", "job": "send", "kind": "completed"}
    (timed,) = metrics["valkeykit.job.duration"].data.data_points
    assert getattr(timed, "sum") == 0.25  # noqa: B009  (the kinds of points differ)
