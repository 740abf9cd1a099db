"""Containers whose data is gone, or was copied again from a primary: what is reported of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import redis
from valkeykit.connection import connect
from valkeykit.url import Node

from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.docker import driver
from stackctl import keycounts, keyspace
from stackctl.keycounts import ShardKeyCount

KEYS = 500
MANIFEST = "/data/appendonlydir/appendonly.aof.manifest"


@pytest.fixture
def single(tmp_path: Path) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path, "single")) as made:
        yield made


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path, "replicated")) as made:
        yield made


def write(harness: DeploymentHarness) -> None:
    """Keys that are on every node's disk."""
    replicas = harness.spec.plan.replicas
    with harness.client("admin") as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "value")
        assert client.execute_command("WAITAOF", 1, replicas, 60_000) == [1, replicas]


def count(harness: DeploymentHarness) -> list[ShardKeyCount]:
    address = harness.endpoint.address("monitor", harness.spec.secrets.passwords["monitor"])

    def at(node: Node) -> redis.Redis:
        return connect(address.at(node), topology="single", ca=harness.endpoint.ca)

    return keyspace.read(harness.endpoint.nodes, at, harness.endpoint)


def compare(harness: DeploymentHarness, before: list[ShardKeyCount]) -> keycounts.KeyCountReport:
    return keycounts.compare([shard.count for shard in before], count(harness), "web")


def recoveries(harness: DeploymentHarness, since: datetime) -> list[str]:
    return driver.recoveries(harness.spec, harness.known, since)


def lose_volume(harness: DeploymentHarness, node: str) -> None:
    """As an operator does with a damaged one."""
    harness.spec.engine.docker("rm", "--force", harness.deployment.container(node))
    harness.spec.engine.docker("volume", "rm", harness.deployment.volume(node))


def damage(harness: DeploymentHarness, node: str, script: str) -> None:
    """Kill a node and change its files."""
    harness.spec.engine.docker("kill", harness.deployment.container(node))
    volume = f"{harness.deployment.volume(node)}:/data"
    options = ["--rm", "--network", "none", "--volume", volume, "--entrypoint", "sh"]
    harness.spec.engine.docker("run", *options, harness.deployment.plan.image, "-c", script)


def test_a_single_node_whose_volume_is_lost(single: DeploymentHarness) -> None:
    write(single)
    before, since = count(single), datetime.now(timezone.utc)
    assert (before[0].count.node, before[0].count.keys) == ("node-0", KEYS)
    assert recoveries(single, since) == []
    lose_volume(single, "node-0")
    single.ensure()
    assert f": node-0 0 of {KEYS} (restarted " in compare(single, before).warning
    assert recoveries(single, since) == [
        "node-0: its data directory was recreated; its data is gone: it is a primary without keys"
    ]


def test_a_single_node_whose_append_only_file_is_cut(single: DeploymentHarness) -> None:
    write(single)
    before = count(single)
    script = "cd /data/appendonlydir; size=$(stat -c %s *.incr.aof); truncate -s $((size / 2)) *.incr.aof"
    damage(single, "node-0", script)
    single.ensure()
    left = count(single)[0].count.keys
    assert 0 < left < KEYS * 0.9
    assert f": node-0 {left} of {KEYS} (restarted " in compare(single, before).warning


def test_keys_that_clients_removed_are_no_warning(single: DeploymentHarness) -> None:
    write(single)
    before = count(single)
    with single.client("admin") as client:
        client.flushall()
    report = compare(single, before)
    assert report.warning == ""
    assert f"node-0 had {KEYS} " in report.summary


def test_replicas_that_copied_their_data_again(replicated: DeploymentHarness) -> None:
    write(replicated)
    before, since = count(replicated), datetime.now(timezone.utc)
    primary, *replicas = sorted(
        (node.name for node in replicated.deployment.plan.nodes), key=lambda name: name != replicated.primary()
    )
    lose_volume(replicated, replicas[0])
    damage(replicated, replicas[1], f"rm {MANIFEST}")
    replicated.ensure()
    report = compare(replicated, before)
    assert (report.warning, report.failure) == ("", "")
    recreated, repaired = recoveries(replicated, since)
    restored = f"; restored from its primary {primary}, {KEYS} keys"
    assert recreated == f"{replicas[0]}: its data directory was recreated{restored}"
    assert repaired.startswith(f"{replicas[1]}: its files were set aside in /data/set-aside-")
    assert repaired.endswith(f"(appendonlydir has files, but no manifest that names them){restored}")
