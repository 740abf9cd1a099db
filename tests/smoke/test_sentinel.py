"""Sentinels: they agree on the primary and can fail over."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from valkeykit.url import Node

from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("sentinels")

LEARN_SECONDS = 25
"""Sentinels ask a primary for its replicas every 10 s."""


def test_agree(subject: Subject) -> None:
    """The Sentinels agree on the primary, and it says that it is one."""
    named = {node: _primary(subject, node) for node in subject.sentinels}
    said = {f"{info['ip']}:{info['port']}" for info in named.values()}
    assert len(said) == 1, f"they name {', '.join(sorted(said))}"
    info = next(iter(named.values()))
    with subject.at(subject.outside(Node(info["ip"], int(info["port"])))) as client:
        assert client.info("replication")["role"] == "master"


def test_quorum(subject: Subject) -> None:
    """The Sentinels know each other and every replica, and are enough to fail over."""
    sentinels, replicas = len(subject.sentinels), len(subject.nodes) - 1
    end = time.monotonic() + LEARN_SECONDS
    for node in subject.sentinels:
        while (known := _replicas(subject, node)) < replicas and time.monotonic() < end:
            time.sleep(1)
        info = _primary(subject, node)
        others = int(info["num-other-sentinels"])
        assert others == sentinels - 1, f"{node} knows {others} others of {sentinels - 1}"
        assert int(info["quorum"]) <= sentinels // 2 + 1, f"{node}: the quorum is {info['quorum']} of {sentinels}"
        assert known == replicas, f"{node} knows {known} replicas of {replicas}"
        assert info["flags"] == "master", f"{node} says that the primary is {info['flags']}"


def test_strangers(subject: Subject) -> None:
    """Nobody asks a Sentinel without a password."""
    for node in subject.sentinels:
        with subject.as_user(node, None, None) as client, pytest.raises(redis.AuthenticationError):
            client.execute_command("SENTINEL MYID")


def _primary(subject: Subject, node: Node) -> dict[str, Any]:
    """What a Sentinel says of the one primary that it watches."""
    with subject.at(node) as client:
        (info,) = client.execute_command("SENTINEL MASTERS").values()
    return dict(info)


def _replicas(subject: Subject, node: Node) -> int:
    """Without those that have no port: whoever copied the data for a backup."""
    with subject.at(node) as client:
        known: Any = client.sentinel_slaves(_primary(subject, node)["name"])
    return sum(int(replica["port"]) > 0 for replica in known)
