"""Counting the keys of real servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node
from valkeykit.vocabulary import DeploymentTopology

from harness import servers
from harness.ports import HOST, free_port
from infra.drivers.topology.node_executor import wait_until
from stackctl import keyspace
from stackctl.errors import StackError
from stackctl.keycounts import ALL_SLOTS, ShardKeyCount


def read(nodes: list[servers.ServerProcess], topology: DeploymentTopology) -> list[ShardKeyCount]:
    """As stackctl does, by the servers' URLs."""
    clients = {Node(HOST, node.port): node for node in nodes}
    endpoint = Endpoint("embedded", topology, tuple(clients), False, "9.1.2", "queue", 0, ())
    return keyspace.read(endpoint.nodes, lambda node: clients[node].client(), endpoint)


def test_all_databases_are_counted(tmp_path: Path) -> None:
    with servers.running(tmp_path) as server, server.client() as client:
        client.mset({f"key:{number}": "value" for number in range(20)})
        client.set("session", "value", ex=1000)
        client.select(1)
        client.set("key", "value")
        wait_until(lambda: read([server], "single")[0].count.ttl > 0, 60, "the server doesn't know the average TTL")
        (shard,) = read([server], "single")
    assert 0 < shard.count.ttl <= 1000
    assert (shard.count.keys, shard.count.persistent, shard.count.shard) == (22, 21, ALL_SLOTS)
    assert shard.count.node == f"127.0.0.1:{server.port}"


def test_a_restart_changes_the_history_and_flushall_does_not(tmp_path: Path) -> None:
    with servers.running(tmp_path, "--appendonly", "yes") as server:
        with server.client() as client:
            client.mset({f"key:{number}": "value" for number in range(20)})
            before = read([server], "single")[0].count
            client.flushall()
            flushed = read([server], "single")[0].count
        server.kill()
        server.start()
        restarted = read([server], "single")[0].count
    assert before.history == flushed.history != restarted.history
    assert (before.keys, flushed.keys) == (20, 0)


@pytest.mark.parametrize("topology", ["single", "cluster"])
def test_what_does_not_respond_is_not_counted(tmp_path: Path, topology: DeploymentTopology) -> None:
    with pytest.raises(StackError, match=r"does not respond|the shards are unknown: "):
        read([servers.ServerProcess(tmp_path)], topology)


def test_a_member_with_data_of_another_history_is_seen(tmp_path: Path) -> None:
    """As a replica that has lost the primary whose data it has."""
    away = str(free_port())
    with servers.running(tmp_path / "a") as empty, servers.running(tmp_path / "b") as replica:
        with replica.client() as client:
            client.set("key", "value")
            client.replicaof(HOST, away)
        (shard,) = read([empty, replica], "replicated")
    assert (shard.count.node, shard.count.keys) == (f"127.0.0.1:{empty.port}", 0)
    assert shard.diverged == {f"127.0.0.1:{replica.port}": 1}


def test_a_cluster_is_counted_by_shard(tmp_path: Path) -> None:
    with servers.cluster(tmp_path, replicas=1) as nodes:
        shards = read(nodes, "cluster")
    assert sorted(shard.count.shard for shard in shards) == ["0-5460", "10922-16383", "5461-10921"]
    assert {shard.count.node for shard in shards} == {f"127.0.0.1:{node.port}" for node in nodes[:3]}
    assert [shard.diverged for shard in shards] == [{}, {}, {}]
