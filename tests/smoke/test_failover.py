"""Failover and recovery of servers. Only with --disruptive."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
import redis
from valkeykit.connection import Client
from valkeykit.url import Node

from tests.smoke.shards import Shard, acknowledged, shards
from tests.smoke.subject import Subject

pytestmark = pytest.mark.disruptive

FOLLOWS_WITHIN_SECONDS = 30.0
"""More than the limit for writes: a replica may have to copy all data first."""


@pytest.fixture
def seconds(pytestconfig: pytest.Config) -> float:
    """How long writes may stop."""
    limit: float = pytestconfig.getoption("--within")
    return limit


@pytest.mark.needs("kill", "single", "admin")
def test_crash(subject: Subject, app: Client, key: str, seconds: float) -> None:
    """A killed server comes back by `pulumi up --refresh` with its URL and its data."""
    app.set(key, "kept", ex=600)
    time.sleep(1.1)  # appendfsync everysec
    _kill(subject, subject.nodes[0])
    _heal(subject)
    assert _eventually(lambda: app.get(key), seconds) == "kept"


@pytest.mark.needs("failover", "admin")
def test_failover(
    subject: Subject, app: Client, seconds: float, record_property: Callable[[str, object], None]
) -> None:
    """A planned failover: writes go on in time, and what was acknowledged is there."""
    shard = shards(subject)[0]
    with _written(subject, shard) as name:
        _order_failover(subject, shard, seconds)
        record_property("writes went on after", f"{_seconds_until_written(app, shard, seconds):.1f} s")
        assert _eventually(lambda: app.get(name), seconds) == "kept"
    _assert_all_follow(subject, seconds)


@pytest.mark.needs("failover", "kill", "admin")
def test_killed_primary(
    subject: Subject, app: Client, seconds: float, record_property: Callable[[str, object], None]
) -> None:
    """A killed primary: writes go on in time, what was acknowledged is there, `pulumi up` brings it back."""
    shard = shards(subject)[0]
    with _written(subject, shard) as name:
        _kill(subject, shard.primary)
        try:
            record_property("writes went on after", f"{_seconds_until_written(app, shard, seconds):.1f} s")
            assert _eventually(lambda: app.get(name), seconds) == "kept"
        finally:
            _heal(subject)
        assert _eventually(lambda: app.get(name), seconds) == "kept"
    _assert_all_follow(subject, seconds)


@contextlib.contextmanager
def _written(subject: Subject, shard: Shard) -> Iterator[str]:
    """A key of the shard that another node has too."""
    name = shard.key()
    with subject.at(shard.primary) as primary:
        primary.set(name, "kept", ex=600)
        assert acknowledged(primary, 1) >= 1, "no replica acknowledged a write"
    yield name
    with contextlib.closing(subject.as_app()) as app:
        app.delete(name)


def _order_failover(subject: Subject, shard: Shard, seconds: float) -> None:
    if subject.topology == "cluster":
        with subject.at(shard.replicas[0], "admin") as admin:
            admin.execute_command("CLUSTER FAILOVER")
        return
    with subject.at(subject.sentinels[0], "admin") as sentinel:
        (service,) = sentinel.execute_command("SENTINEL MASTERS")
        sentinel.execute_command("SENTINEL FAILOVER", service)
    _eventually(lambda: shard.primary not in _primaries(subject), seconds)


def _primaries(subject: Subject) -> list[Node]:
    found = []
    for node in subject.nodes:
        with contextlib.suppress(redis.RedisError), subject.at(node) as client:
            if client.info("replication")["role"] == "master":
                found.append(node)
    return found


def _seconds_until_written(app: Client, shard: Shard, limit: float) -> float:
    """How long the deployment's own client takes until a write of the shard is acknowledged."""
    begin = time.monotonic()
    name = shard.key()
    done = _eventually(lambda: app.set(name, "again", ex=60), limit)
    assert done, f"no write within {limit:g} s"
    return time.monotonic() - begin


def _assert_all_follow(subject: Subject, seconds: float) -> None:
    limit = max(seconds, FOLLOWS_WITHIN_SECONDS)
    assert _eventually(lambda: not _astray(subject), limit), f"still astray: {_astray(subject)}"


def _astray(subject: Subject) -> list[str]:
    """Nodes that neither are a shard's primary nor follow one; beside a replicated one's primary there is no other."""
    if subject.topology == "cluster":
        placed = {node for shard in shards(subject) for node in (shard.primary, *shard.replicas)}
        astray = [str(node) for node in subject.nodes if node not in placed]
    else:
        astray = [str(node) for node in _primaries(subject)[1:]]
    for node in subject.nodes:
        try:
            with subject.at(node) as client:
                info = client.info("replication")
        except redis.RedisError:
            astray.append(str(node))
        else:
            if info["role"] == "slave" and info["master_link_status"] != "up":
                astray.append(str(node))
    return astray


def _kill(subject: Subject, node: Node) -> None:
    with subject.at(node, "admin") as admin:
        server = psutil.Process(admin.info("server")["process_id"])
    assert server.name() == "valkey-server"
    server.send_signal(signal.SIGKILL)


def _heal(subject: Subject) -> None:
    from stackctl.stack import Stack

    assert subject.stack is not None
    Stack.open(subject.stack).up()


def _eventually(attempt: Callable[[], object], seconds: float) -> object:
    """The attempt's first result that is true; None when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError):
            if result := attempt():
                return result
        time.sleep(0.05)
    return None
