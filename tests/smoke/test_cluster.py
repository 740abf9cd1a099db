"""A cluster: all slots are served, and clients can reach every node."""

from __future__ import annotations

import pytest
from valkeykit.connection import Client

from tests.smoke.shards import SLOTS, shards, slots
from tests.smoke.sockets import unreachable
from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("cluster")


def test_whole(subject: Subject) -> None:
    """The cluster serves every slot, and every node sees it so."""
    for node in subject.nodes:
        with subject.at(node) as client:
            state = client.execute_command("CLUSTER INFO")["cluster_state"]
        served = sum(last - first + 1 for first, last, _ in slots(subject, node))
        assert (state, served) == ("ok", SLOTS), f"{node}: the state is {state}, {served} of {SLOTS} slots are served"


def test_addresses(subject: Subject) -> None:
    """The addresses that the cluster announces are reachable from here."""
    announced = {node for _, _, nodes in slots(subject) for node in nodes}
    problems = unreachable(announced)
    assert not problems, "; ".join(problems)


def test_each_shard(subject: Subject, app: Client) -> None:
    """A value of each shard is stored, read and deleted."""
    for shard in shards(subject):
        name = shard.key()
        assert app.set(name, "value", ex=60), f"{shard.primary} took no write"
        assert app.get(name) == "value", f"{shard.primary} gave no answer"
        assert app.delete(name) == 1


def test_transaction(app: Client, key: str) -> None:
    """Keys with a common tag are written in one transaction."""
    with app.pipeline(transaction=True) as pipeline:
        pipeline.set(key, "1", ex=60)
        pipeline.set(f"{key}:active", "2", ex=60)
        assert all(pipeline.execute())
    assert app.get(key) == "1"
