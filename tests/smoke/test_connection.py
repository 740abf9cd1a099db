"""Connections: the server responds and is the expected one."""

from __future__ import annotations

import statistics
import time

import pytest
import redis

from tests.smoke.sockets import unreachable
from tests.smoke.subject import Subject

LATENCY_BUDGET = 0.1
"""Seconds, median of 20 PINGs: a server further away than that is in another region."""


@pytest.mark.gate
def test_reachable(subject: Subject) -> None:
    """Every server's port answers."""
    problems = unreachable((*subject.nodes, *subject.sentinels))
    assert not problems, "; ".join(problems)


@pytest.mark.gate
def test_lets_the_application_in(subject: Subject) -> None:
    """The application's URL logs in and PING is answered."""
    for node in subject.nodes:
        with subject.at(node) as client:
            try:
                answer = client.ping()
            except redis.AuthenticationError:
                name = subject.address.username or "default"
                pytest.fail(f"user {name}: the password is wrong or the user is off ({node})")
            except redis.RedisError as problem:
                pytest.fail(f"no answer to PING: {problem}")
        assert answer is True


def test_latency(subject: Subject) -> None:
    """PING is answered within 100 ms."""
    for node in subject.nodes:
        with subject.at(node) as client:
            median = statistics.median(_seconds(client) for _ in range(20))
        assert median < LATENCY_BUDGET, f"{node}: median {median * 1000:.0f} ms"


def test_engine(subject: Subject) -> None:
    """It is Valkey, not Redis."""
    problem = subject.wrong("server", lambda info: None if info.get("server_name") == "valkey" else "it is not")
    assert not problem, problem


@pytest.mark.needs("endpoint")
def test_version(subject: Subject) -> None:
    """It is the version that the stack says."""
    assert subject.endpoint is not None
    wanted = subject.endpoint.version
    problem = subject.wrong(
        "server", lambda info: None if info["valkey_version"] == wanted else f"it is {info['valkey_version']}"
    )
    assert not problem, problem


def _seconds(client: redis.Redis) -> float:
    begin = time.perf_counter()
    client.ping()
    return time.perf_counter() - begin
