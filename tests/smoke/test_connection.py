"""Is anybody there, and is it who it should be?"""

from __future__ import annotations

import socket
import statistics
import threading
import time

import pytest
import redis

from tests.smoke.subject import Subject

CONNECT_SECONDS = 2.0
LATENCY_BUDGET = 0.1
"""Seconds, median of 20 PINGs: a server further away than that is in another region."""


@pytest.mark.gate
def test_reachable(subject: Subject) -> None:
    """The server's port answers."""
    host, port = subject.address.host, subject.address.port
    problem = _connect(host, port)
    assert problem is None, f"{host}:{port}: {problem}"


@pytest.mark.gate
def test_lets_the_application_in(app: redis.Redis, subject: Subject) -> None:
    """The application's URL logs in and PING is answered."""
    try:
        answer = app.ping()
    except redis.AuthenticationError:
        pytest.fail(f"user {subject.address.username or 'default'}: the password is wrong or the user is off")
    except redis.RedisError as problem:
        pytest.fail(f"no answer to PING: {problem}")
    assert answer is True


def test_latency(app: redis.Redis) -> None:
    """PING is answered within 100 ms."""
    times = [_seconds(app) for _ in range(20)]
    assert statistics.median(times) < LATENCY_BUDGET, f"median {statistics.median(times) * 1000:.0f} ms"


def test_engine(app: redis.Redis) -> None:
    """It is Valkey, not Redis."""
    assert app.info("server").get("server_name") == "valkey"


@pytest.mark.needs("endpoint")
def test_version(app: redis.Redis, subject: Subject) -> None:
    """It is the version that the stack says."""
    assert subject.endpoint is not None
    assert app.info("server")["valkey_version"] == subject.endpoint.version


def _connect(host: str, port: int) -> str | None:
    """What is in the way of a connection. A name server's silence has no time-out of its own, hence the thread."""
    outcome: list[str | None] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)
        else:
            outcome.append(None)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return outcome[0] if outcome else f"no answer within {CONNECT_SECONDS:.0f} s"


def _seconds(client: redis.Redis) -> float:
    begin = time.perf_counter()
    client.ping()
    return time.perf_counter() - begin
