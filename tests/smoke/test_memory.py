"""What happens when memory is full, and when the server stops?"""

from __future__ import annotations

import pytest
import redis

from infra import hardening
from tests.smoke.subject import Subject


def test_limited(app: redis.Redis) -> None:
    """Memory has a limit."""
    assert app.info("memory")["maxmemory"] > 0, "maxmemory is 0: the server grows until the machine ends it"


@pytest.mark.needs("endpoint")
def test_limit(app: redis.Redis, subject: Subject) -> None:
    """The limit is the stack's."""
    assert subject.endpoint is not None
    assert app.info("memory")["maxmemory"] == subject.endpoint.maxmemory


@pytest.mark.needs("endpoint")
def test_policy(app: redis.Redis, subject: Subject) -> None:
    """What is evicted suits the workload."""
    assert subject.endpoint is not None
    wanted = next(rule for rule in hardening.RULES if rule.directive == "maxmemory-policy")
    found = app.info("memory")["maxmemory_policy"]
    assert found == wanted.for_workload(subject.endpoint.workload), f"{found} on a {subject.endpoint.workload}"  # type: ignore[arg-type]


def test_append_only(app: redis.Redis) -> None:
    """Writes reach the append-only file."""
    state = app.info("persistence")
    assert state["aof_enabled"] == 1, "it is off: a restart loses what came since the last snapshot"
    assert state["aof_last_write_status"] == "ok", "the last write failed: is the disk full?"


def test_snapshot(app: redis.Redis) -> None:
    """The last snapshot succeeded."""
    assert app.info("persistence")["rdb_last_bgsave_status"] == "ok"


def test_primary(app: redis.Redis) -> None:
    """It takes writes: it is a primary."""
    assert app.info("replication")["role"] == "master"
