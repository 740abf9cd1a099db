"""Clusters at either end, with slots that move during the copy."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode

from harness import binaries, servers
from harness.ports import HOST, free_port
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness, independent
from tests.migrate.writers import Writers

SIMPLE = tuple(kind for kind in data.KINDS if kind != "stream")
"""What redis-py's client for clusters writes without help."""


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with servers.cluster(tmp_path_factory.mktemp("cluster"), program=binaries.program("redis-7.0")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def shared_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with servers.cluster(tmp_path_factory.mktemp("target")) as nodes:
        yield nodes


@pytest.fixture
def cluster(shared_cluster: list[ServerProcess]) -> list[ServerProcess]:
    return emptied(shared_cluster)


@pytest.fixture
def target(shared_target: list[ServerProcess]) -> list[ServerProcess]:
    return emptied(shared_target)


def emptied(nodes: list[ServerProcess]) -> list[ServerProcess]:
    for node in nodes:
        with data.raw(node.port) as client:
            client.flushall()
    return nodes


def client_of(nodes: list[ServerProcess]) -> Any:
    return redis.RedisCluster(startup_nodes=[ClusterNode(HOST, node.port) for node in nodes])


def fill(nodes: list[ServerProcess], dice: random.Random, keys: int) -> None:
    """As data.fill, by the node that has each key: redis-py finds it for no command of streams' groups."""
    with contextlib.closing(client_of(nodes)) as client:
        for number in range(keys):
            key = data.name(dice, number)
            data.write(client.get_redis_connection(client.get_node_from_key(key)), dice, key)


def ports(nodes: list[ServerProcess]) -> list[int]:
    return [node.port for node in nodes]


def test_a_cluster_to_a_cluster(cluster: list[ServerProcess], target: list[ServerProcess], state: Path) -> None:
    fill(cluster, random.Random(1), 600)
    report = harness.migrate(cluster[0].url, target[1].url, state, chunk_above=2000)
    assert report.complete, report.record()
    assert independent.differences(ports(cluster), ports(target)) == []
    assert len({node.port for node in target if _size(node)}) == 3


def _size(node: ServerProcess) -> int:
    with data.raw(node.port) as client:
        return int(client.dbsize())


def test_a_single_server_to_a_cluster(old: ServerProcess, ours: Any, target: list[ServerProcess], state: Path) -> None:
    data.fill(ours, random.Random(2), 500)
    ours.set("", "empty")
    ours.set("}{", "odd")
    assert harness.migrate(old.url, target[0].url, state, chunk_above=1).complete
    assert independent.differences([old.port], ports(target)) == []


def test_a_cluster_to_a_single_server(cluster: list[ServerProcess], new: ServerProcess, state: Path) -> None:
    fill(cluster, random.Random(3), 500)
    assert harness.migrate(cluster[2].url, new.url, state).complete
    assert independent.differences(ports(cluster), [new.port]) == []


def test_slots_that_move_during_the_copy(
    cluster: list[ServerProcess], target: list[ServerProcess], state: Path
) -> None:
    with contextlib.closing(client_of(cluster)) as client:
        client.mset_nonatomic({f"key:{number}": number for number in range(3000)})
    with ThreadPoolExecutor() as pool:
        moving = pool.submit(_move, cluster[0], cluster[1], range(300))
        report = harness.migrate(cluster[0].url, target[0].url, state, rate=2000, batch=100)
        moving.result()
    assert report.complete, report.record()
    assert independent.differences(ports(cluster), ports(target)) == []


def test_a_cluster_under_writes_while_slots_move(
    cluster: list[ServerProcess], target: list[ServerProcess], state: Path
) -> None:
    from valkeykit_ops.migrate.cut_over_step import CutOver

    fill(cluster, random.Random(4), 1000)
    with (
        ThreadPoolExecutor() as pool,
        Writers(lambda: client_of(cluster), 5, keys=1000, kinds=SIMPLE, ends=False) as writers,
    ):
        moving = pool.submit(_move, cluster[0], cluster[1], range(1000, 1100))
        threading.Timer(4, writers.stop).start()
        report = harness.migrate(
            cluster[0].url, target[0].url, state, CutOver(quiet=0.5), rate=1500, batch=100, reconnect_timeout=15.0
        )
        moving.result()
    assert report.complete, report.record()
    assert report.cut_over
    assert independent.differences(ports(cluster), ports(target)) == []


def _move(giver: ServerProcess, taker: ServerProcess, slots: range) -> None:
    """What a resharding does, slot by slot."""
    with data.raw(giver.port) as give, data.raw(taker.port) as take:
        giver_id, taker_id = (str(client.execute_command("CLUSTER MYID").decode()) for client in (give, take))
        for slot in slots:
            take.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", giver_id)
            give.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", taker_id)
            while keys := give.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                give.execute_command("MIGRATE", HOST, taker.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
            take.execute_command("CLUSTER SETSLOT", slot, "NODE", taker_id)
            give.execute_command("CLUSTER SETSLOT", slot, "NODE", taker_id)


def test_a_database_that_a_cluster_lacks(old: ServerProcess, target: list[ServerProcess], state: Path) -> None:
    with data.raw(old.port) as client:
        client.select(3)
        client.set("a", 1)
    plan = harness.plan(old.url, target[0].url, state)
    assert [check.name for check in plan.checks if check.ok is False] == ["databases"]


@pytest.mark.thorough
def test_a_valkey_joins_a_redis_cluster_and_takes_over(tmp_path: Path) -> None:
    """The path of docs/migration.md for clusters, step by step."""
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "5000")
    with (
        servers.cluster(tmp_path / "redis", program=binaries.program("redis-7.0")) as nodes,
        servers.running(tmp_path / "valkey", *options) as valkey,
        data.raw(valkey.port) as ours,
        data.raw(nodes[0].port) as theirs,
    ):
        fill(nodes, random.Random(6), 300)
        before = data.snapshot(theirs)
        ours.execute_command("CLUSTER", "MEET", HOST, nodes[0].port, _bus_port(theirs))
        wait_until(lambda: _known_nodes(ours) == len(nodes) + 1, problem="the node does not join")
        ours.execute_command("CLUSTER", "REPLICATE", theirs.execute_command("CLUSTER", "MYID").decode())
        wait_until(lambda: ours.info("replication").get("master_link_status") == "up", problem="no replication")
        wait_until(lambda: ours.dbsize() == len(before), problem="keys are missing")
        assert ours.execute_command("CLUSTER", "FAILOVER") == b"OK"
        wait_until(lambda: ours.info("replication")["role"] == "master", problem="no failover")
        wait_until(lambda: b"cluster_state:ok" in ours.execute_command("CLUSTER", "INFO"), problem="unhealthy")
        wait_until(lambda: theirs.info("replication")["role"] == "slave", problem="two primaries")
        assert data.snapshot(ours) == before


def _bus_port(client: Any) -> int:
    """The bus port in a node's own line: `host:port@bus`."""
    own = next(line for line in client.execute_command("CLUSTER", "NODES").decode().splitlines() if "myself" in line)
    return int(own.split()[1].partition("@")[2].partition(",")[0])


def _known_nodes(client: Any) -> int:
    lines = client.execute_command("CLUSTER", "NODES").decode().splitlines()
    return sum("handshake" not in line and " connected" in line for line in lines)
