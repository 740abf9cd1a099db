"""The deployment's workload: caching and jobs."""

from __future__ import annotations

import time
from collections.abc import Callable

from valkeykit.connection import Client

from tests.smoke import latency
from tests.smoke.subject import Subject

HIGH_TAIL_LATENCY_SECONDS = 0.25
"""Of the 99th of 100 GETs."""


def test_cache(app: Client, key: str) -> None:
    """A value is stored, read, expires and is deleted."""
    assert app.set(key, "value", ex=60)
    assert app.get(key) == "value"
    assert 0 < app.ttl(key) <= 60
    assert app.delete(key) == 1
    assert app.get(key) is None


def test_expiry(app: Client, key: str) -> None:
    """A value is gone when its time is over."""
    app.set(key, "value", px=50)
    time.sleep(0.1)
    assert app.get(key) is None


def test_queue(subject: Subject, app: Client, key: str) -> None:
    """A job survives the worker that took it."""
    app.rpush(key, "job")
    app.expire(key, 60)
    with subject.as_app() as worker:
        assert worker.blmove(key, f"{key}:active", 1) == "job"
    assert app.lrange(f"{key}:active", 0, -1) == ["job"]
    assert app.lmove(f"{key}:active", key) == "job"
    assert app.llen(key) == 1


def test_script(app: Client, key: str) -> None:
    """Scripts run, as queues need them."""
    assert (
        app.eval("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60) return redis.call('GET', KEYS[1])", 1, key, "x") == "x"
    )


def test_tail(app: Client, key: str, record_property: Callable[[str, object], None]) -> None:
    """Latency of reads."""
    app.set(key, "value", ex=60)
    tail = latency.measure(lambda: app.get(key), 100)[98]
    record_property(*latency.recorded(tail, HIGH_TAIL_LATENCY_SECONDS, "99 of 100 within"))
