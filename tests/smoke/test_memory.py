"""Memory limits, eviction and persistence."""

from __future__ import annotations

import pytest

from infra import hardening
from tests.smoke.subject import Subject


def test_limited(subject: Subject) -> None:
    """Memory has a limit."""
    unlimited = "maxmemory is 0: the server grows until the machine ends it"
    problem = subject.wrong("memory", lambda info: None if info["maxmemory"] else unlimited)
    assert not problem, problem


@pytest.mark.needs("endpoint")
def test_limit(subject: Subject) -> None:
    """The limit is the stack's."""
    assert subject.endpoint is not None
    wanted = subject.endpoint.maxmemory
    problem = subject.wrong(
        "memory", lambda info: None if info["maxmemory"] == wanted else f"{info['maxmemory']}, not {wanted}"
    )
    assert not problem, problem


@pytest.mark.needs("endpoint")
def test_policy(subject: Subject) -> None:
    """What is evicted suits the workload."""
    assert subject.endpoint is not None
    workload = subject.endpoint.workload
    prefix = hardening.POLICY_PREFIX[workload]
    problem = subject.wrong(
        "memory",
        lambda info: (
            None if info["maxmemory_policy"].startswith(prefix) else f"{info['maxmemory_policy']} on a {workload}"
        ),
    )
    assert not problem, problem


@pytest.mark.needs("files")
def test_append_only(subject: Subject) -> None:
    """Writes reach the append-only file."""
    off = "it is off: a restart loses what came since the last snapshot"
    problem = subject.wrong("persistence", lambda info: None if info["aof_enabled"] else off)
    assert not problem, problem
    failed = "the last write failed: is the disk full?"
    problem = subject.wrong("persistence", lambda info: None if info["aof_last_write_status"] == "ok" else failed)
    assert not problem, problem


@pytest.mark.needs("files")
def test_snapshot(subject: Subject) -> None:
    """The last snapshot succeeded."""
    problem = subject.wrong("persistence", lambda info: None if info["rdb_last_bgsave_status"] == "ok" else "it failed")
    assert not problem, problem


@pytest.mark.needs("single")
def test_primary(subject: Subject) -> None:
    """It takes writes: it is a primary."""
    assert subject.in_role("master") == list(subject.nodes)
