"""Does it do what it is for?"""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest
import redis

from tests.smoke.subject import Subject

TAIL_BUDGET = 0.25
"""Seconds, the 99th of 100 GETs."""


@pytest.fixture
def key(app: redis.Redis) -> Iterator[str]:
    """A name of our own, gone afterwards, and by itself should we be killed."""
    name = f"smoke:{uuid.uuid4().hex}"
    yield name
    app.delete(name, f"{name}:active")


def test_cache(app: redis.Redis, key: str) -> None:
    """A value is stored, read, expires and is deleted."""
    assert app.set(key, "value", ex=60)
    assert app.get(key) == "value"
    assert 0 < app.ttl(key) <= 60
    assert app.delete(key) == 1
    assert app.get(key) is None


def test_expiry(app: redis.Redis, key: str) -> None:
    """A value is gone when its time is over."""
    app.set(key, "value", px=50)
    time.sleep(0.1)
    assert app.get(key) is None


def test_queue(subject: Subject, app: redis.Redis, key: str) -> None:
    """A job survives the worker that took it."""
    app.rpush(key, "job")
    app.expire(key, 60)
    with subject.as_app() as worker:
        assert worker.blmove(key, f"{key}:active", 1) == "job"
        worker.connection_pool.disconnect()
    assert app.lrange(f"{key}:active", 0, -1) == ["job"]
    assert app.lmove(f"{key}:active", key) == "job"
    assert app.llen(key) == 1


def test_script(app: redis.Redis, key: str) -> None:
    """Scripts run, as queues need them."""
    assert (
        app.eval("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60) return redis.call('GET', KEYS[1])", 1, key, "x") == "x"
    )


def test_tail(app: redis.Redis, key: str) -> None:
    """99 of 100 reads take less than 250 ms."""
    app.set(key, "value", ex=60)
    times = []
    for _ in range(100):
        begin = time.perf_counter()
        app.get(key)
        times.append(time.perf_counter() - begin)
    assert sorted(times)[98] < TAIL_BUDGET, f"{sorted(times)[98] * 1000:.0f} ms"


@pytest.mark.disruptive
@pytest.mark.needs("restart", "admin")
def test_crash(subject: Subject, app: redis.Redis, key: str) -> None:
    """A killed server comes back by `pulumi up --refresh` with its URL and its data."""
    from tools.stack import Stack

    app.set(key, "kept", ex=600)
    time.sleep(1.1)  # appendfsync everysec
    with subject.as_admin() as admin:
        server = psutil.Process(admin.info("server")["process_id"])
    assert server.name() == "valkey-server"
    server.send_signal(signal.SIGKILL)
    assert subject.stack is not None
    Stack.open(subject.stack).up()
    app.connection_pool.disconnect()
    assert app.get(key) == "kept"
