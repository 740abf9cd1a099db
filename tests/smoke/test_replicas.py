"""Replication: every write reaches the replicas, and all nodes agree on the primary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import redis
from valkeykit.url import Node

from tests.smoke.shards import Shard, acknowledged, shards
from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("replicas")

LAG_SECONDS = 30
"""A primary that nobody writes to sends a ping every 10 s (repl-ping-replica-period)."""


def test_one_primary(subject: Subject) -> None:
    """Each shard has one primary, and as many replicas as the others."""
    counts = {str(shard.primary): len(shard.replicas) for shard in shards(subject)}
    total = len(subject.nodes)
    assert sum(counts.values()) + len(counts) == total, f"of {total} nodes, these have a place: {counts}"
    assert len(set(counts.values())) == 1, f"replicas of each primary: {counts}"
    assert subject.topology == "cluster" or len(counts) == 1, f"primaries: {', '.join(counts)}"


def test_follow(subject: Subject) -> None:
    """Every replica follows."""
    for replica in subject.in_role("slave"):
        with subject.at(replica) as client:
            info = client.info("replication")
        assert info["master_link_status"] == "up", f"{replica}: its link to the primary is down"
        lag = info["master_last_io_seconds_ago"]
        assert lag < LAG_SECONDS, f"{replica}: it has heard nothing for {lag} s"


def test_refuse_writes(subject: Subject) -> None:
    """A replica refuses writes."""
    for replica in subject.in_role("slave"):
        with (
            subject.at(replica) as client,
            contextlib.suppress(redis.exceptions.ReadOnlyError, redis.exceptions.MovedError),
        ):
            client.set("smoke:refused", "1", ex=1)
            pytest.fail(f"{replica} took a write")


def test_have_what_was_written(subject: Subject) -> None:
    """Every replica has what was written."""
    for shard in shards(subject):
        with _written(subject, shard) as name:
            for replica in shard.replicas:
                assert _read(subject, replica, name) == "value", f"{replica} doesn't have it"


@contextlib.contextmanager
def _written(subject: Subject, shard: Shard) -> Iterator[str]:
    """A key of the shard that all its replicas have acknowledged."""
    name = shard.key()
    with subject.at(shard.primary) as primary:
        primary.set(name, "value", ex=60)
        count = acknowledged(primary, len(shard.replicas))
        assert count == len(shard.replicas), f"{count} of {len(shard.replicas)} acknowledged a write"
        yield name
        primary.delete(name)


def _read(subject: Subject, node: Node, name: str) -> object:
    with subject.at(node) as client:
        if subject.topology == "cluster":
            client.readonly()
        return client.get(name)
