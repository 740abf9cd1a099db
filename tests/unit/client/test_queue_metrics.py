"""Metrics of queues: names, values, and a server that rejects the user."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis.exceptions import NoPermissionError
from valkeykit.queue import QueueStatistics, WorkerState
from valkeykit.queue.registry import QueueReading
from valkeykit.settings import resolve_settings
from valkeykit_ops.stats import queue_metrics
from valkeykit_ops.stats.queue_metrics import QueueCollector

from stackctl.stack import PROJECT

COUNTS = QueueStatistics(
    waiting=5, active=2, delayed=3, dead=1, completed=90, failed=4, retried=6, lost=1, cancelled=7,
    completed_last_minute=0, failed_last_minute=0, oldest_ms=61_500, paused=False, due=1, run_ms=12_500,
)  # fmt: skip
WORKER = WorkerState(
    "w",
    last_report_seconds=1.0,
    host="h",
    pid=1,
    started=0.0,
    concurrency=10,
    running=2,
    handlers=["send"],
    version="1",
)


class NoConnection:
    def __init__(self, client: object) -> None:
        self.client = client

    def close(self) -> None:
        self.client = None


def scrape(monkeypatch: pytest.MonkeyPatch, read: Any, *, strict: bool = False) -> str:
    monkeypatch.setattr(queue_metrics, "open_client", lambda settings: settings)
    monkeypatch.setattr(queue_metrics, "FastConnection", NoConnection)
    monkeypatch.setattr(queue_metrics, "read_queues", read)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueCollector(resolve_settings("redis://localhost"), strict=strict))
    return generate_latest(registry).decode()


def test_counts_and_workers_of_each_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    text = scrape(monkeypatch, lambda _: [QueueReading("mail", COUNTS, [WORKER, WORKER])])
    for line in (
        "valkeykit_queues_up 1.0",
        'valkeykit_queue_jobs{queue="mail",state="waiting"} 5.0',
        'valkeykit_queue_jobs{queue="mail",state="dead"} 1.0',
        'valkeykit_queue_completed_total{queue="mail"} 90.0',
        'valkeykit_queue_dead_lettered_total{queue="mail"} 4.0',
        'valkeykit_queue_leases_lost_total{queue="mail"} 1.0',
        'valkeykit_queue_run_seconds_total{queue="mail"} 12.5',
        'valkeykit_queue_due_jobs{queue="mail"} 1.0',
        'valkeykit_queue_oldest_job_age_seconds{queue="mail"} 61.5',
        'valkeykit_queue_paused{queue="mail"} 0.0',
        'valkeykit_queue_workers{queue="mail"} 2.0',
        'valkeykit_queue_worker_concurrency{queue="mail"} 20.0',
    ):
        assert line in text.splitlines()


def test_alerts_and_dashboard_use_metrics_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = re.findall(
        r"^valkeykit_\w+", scrape(monkeypatch, lambda _: [QueueReading("mail", COUNTS, [])]), re.MULTILINE
    )
    for file in ("rules.yaml", "dashboard.json"):
        used = re.findall(r"\bvalkeykit_queues?_\w+", (PROJECT / "compose" / "monitoring" / file).read_text())
        assert len(set(used)) > 5
        assert set(used) <= set(exported)


def test_queues_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> list[QueueReading]:
        raise NoPermissionError("no")

    text = scrape(monkeypatch, refuse)
    assert "valkeykit_queues_up 0.0" in text
    assert "queue=" not in text
    with pytest.raises(NoPermissionError):
        scrape(monkeypatch, refuse, strict=True)
