"""Connections: the server responds and is the expected one."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
import redis

from tests.smoke import latency
from tests.smoke.sockets import unreachable
from tests.smoke.subject import Subject

HIGH_LATENCY_SECONDS = 0.1
"""Median of 20 PINGs: a server further away than that is in another region, or its machine is busy."""


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


def test_latency(subject: Subject, record_property: Callable[[str, object], None]) -> None:
    """Latency of PING."""
    medians = {}
    for node in subject.nodes:
        with subject.at(node) as client:
            medians[node] = statistics.median(latency.measure(client.ping, 20))
    slowest = max(medians, key=lambda node: medians[node])
    record_property(*latency.recorded(medians[slowest], HIGH_LATENCY_SECONDS, f"{slowest}: median"))


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
