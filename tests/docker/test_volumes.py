"""Volumes that are not what a node had: swapped, old, foreign; and several damaged ones at once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.docker import driver, roles
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.topology.node_executor import CommandRejectedError, NotRespondingError, info, wait_until
from infra.errors import ProvisioningError
from infra.hardening import Topology
from tests.docker import damage
from tests.docker.stored import (
    KEYS,
    data_of,
    leader_and_followers,
    read,
    restore,
    start_all,
    states,
    stop_all,
    swap,
    write,
)
from tests.support.traffic import Traffic


@pytest.fixture(params=["replicated", "cluster"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path, cast("Topology", request.param))) as harness:
        write(harness, "first")
        yield harness


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path, "replicated")) as harness:
        write(harness, "first")
        yield harness


REPLICATED, CLUSTER = "replicated", "cluster"
MORE = pytest.mark.thorough


@pytest.mark.parametrize("harness", [pytest.param(REPLICATED, marks=MORE), CLUSTER], indirect=True)
def test_yesterdays_volume_of_a_primary_is_not_served(harness: DeploymentHarness, tmp_path: Path) -> None:
    leader, _ = leader_and_followers(harness)
    stop_all(harness)
    damage.copy(data_of(harness, leader), tmp_path / "yesterday")
    start_all(harness)
    harness.ensure()
    note(tmp_path / "yesterday" / "position", seen=-86_400)
    write(harness, "second")
    leader, _ = leader_and_followers(harness)
    stop_all(harness)
    restore(tmp_path / "yesterday", data_of(harness, leader))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"second"}


@pytest.mark.thorough
@pytest.mark.parametrize("all_restart", [False, True])
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_volume_of_the_time_when_the_primary_was_a_replica_is_not_served(
    harness: DeploymentHarness, tmp_path: Path, *, all_restart: bool
) -> None:
    """Its nodes.conf takes its replica for the primary, which takes it for the primary."""
    leader, (follower,) = leader_and_followers(harness)
    engine, deployment = harness.spec.engine, harness.deployment
    restarted = [leader, follower, *(node.name for node in deployment.plan.nodes if all_restart)]
    containers = [deployment.container(name) for name in dict.fromkeys(restarted)]
    roles.fail_over(deployment.executor, deployment.plan, leader)
    harness.ensure()
    engine.docker("kill", containers[0])
    damage.copy(data_of(harness, leader), tmp_path / "earlier")
    note(tmp_path / "earlier" / "position", seen=-86_400)
    engine.docker("start", containers[0])
    harness.ensure()
    roles.fail_over(deployment.executor, deployment.plan, follower)
    harness.ensure()
    write(harness, "second")
    engine.docker("kill", *containers)
    restore(tmp_path / "earlier", data_of(harness, leader))
    engine.docker("start", *containers)
    harness.ensure()
    assert read(harness) == {"second"}


def test_an_append_only_file_that_was_cut_while_its_server_ran(replicated: DeploymentHarness) -> None:
    leader, _ = leader_and_followers(replicated)
    engine, deployment = replicated.spec.engine, replicated.deployment
    data = data_of(replicated, leader)
    file = damage.append_only_file(data)
    size = file.stat().st_size  # the end of a command
    write(replicated, "second")
    os.truncate(file, size)
    last = seen_by(data) + 5
    wait_until(lambda: seen_by(data) >= last, 60, "no position is noted")
    for sentinel in deployment.plan.sentinels:  # they may be faster
        deployment.executor.run(sentinel.name, "SENTINEL", "SET", "valkey", "down-after-milliseconds", "600000")
    os.kill(replicated.container(leader)["State"]["Pid"], signal.SIGKILL)
    container = deployment.container(leader)
    wait_until(lambda: "hold more" in waiting_of(engine, container), 120, "it doesn't wait for a failover")
    for sentinel in deployment.plan.sentinels:
        deployment.executor.run(sentinel.name, "SENTINEL", "SET", "valkey", "down-after-milliseconds", "3000")
    replicated.ensure()
    assert read(replicated) == {"second"}


def seen_by(data: Path) -> int:
    return int((data / "position").read_text().split()[8])


def waiting_of(engine: Engine, container: str) -> str:
    """Why its server has not been started."""
    with contextlib.suppress(EngineError):
        return engine.docker("exec", container, "cat", "/tmp/waiting")
    return ""


def note(position: Path, *, offset: int = 0, seen: int = 0) -> None:
    """As if the node had noted another one."""
    fields = position.read_text().split()
    fields[3], fields[8] = str(int(fields[3]) + offset), str(int(fields[8]) + seen)
    if offset:
        fields[5] = str((position.parent / "appendonlydir" / fields[4]).stat().st_size)
    position.write_text(" ".join(fields) + "\n")


@MORE
def test_swapped_volumes_lose_nothing(harness: DeploymentHarness) -> None:
    leader, followers = leader_and_followers(harness)
    other = (
        followers[0]
        if harness.spec.plan.topology == "replicated"
        else next(name for name, state in states(harness).items() if state["role"] == "master" and name != leader)
    )
    stop_all(harness)
    swap(data_of(harness, leader), data_of(harness, other))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"first"}


@pytest.mark.parametrize("harness", [pytest.param(REPLICATED, marks=MORE), CLUSTER], indirect=True)
def test_all_at_once_and_the_primary_damaged(harness: DeploymentHarness) -> None:
    leader, _ = leader_and_followers(harness)
    stop_all(harness)
    damage.cut_append_only_file(data_of(harness, leader))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"first"}


@MORE
def test_all_at_once_and_every_replica_emptied(harness: DeploymentHarness) -> None:
    _leader, followers = leader_and_followers(harness)
    stop_all(harness)
    for name in followers:
        damage.empty(data_of(harness, name))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"first"}


@pytest.mark.parametrize("harness", [REPLICATED, pytest.param(CLUSTER, marks=MORE)], indirect=True)
def test_a_damaged_primary_and_emptied_replicas_are_never_served(harness: DeploymentHarness) -> None:
    leader, followers = leader_and_followers(harness)
    stop_all(harness)
    damage.cut_append_only_file(data_of(harness, leader))
    for name in followers:
        damage.empty(data_of(harness, name))
    start_all(harness)
    with pytest.raises(ProvisioningError, match=r"bytes, but had") as caught:
        harness.ensure()
    assert f"NODE={leader}" in str(caught.value)
    assert any("bytes, but had" in problem for problem in harness.wrong())


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_two_emptied_primaries_are_replaced_by_their_replicas(harness: DeploymentHarness) -> None:
    """A single remaining primary can't elect another."""
    primaries = [name for name, state in states(harness).items() if state["role"] == "master"]
    stop_all(harness)
    for name in primaries[:2]:
        damage.empty(data_of(harness, name))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"first"}


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_the_only_copy_is_kept_though_its_nodes_conf_is_lost(harness: DeploymentHarness) -> None:
    leader, (follower,) = leader_and_followers(harness)
    stop_all(harness)
    damage.garble_nodes_conf(data_of(harness, leader))
    damage.empty(data_of(harness, follower))
    start_all(harness)
    with pytest.raises(ProvisioningError, match="no member has a copy of its slots") as caught:
        harness.ensure()
    assert f"NODE={leader}" in str(caught.value)
    lines = list(driver.repair(harness.spec, harness.known, leader, force=False, dry=False))
    assert any("nodes.conf is lost or damaged" in line for line in lines)
    assert read(harness) == {"first"}


@pytest.mark.thorough
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_two_of_three_primaries_whose_replicas_have_more(harness: DeploymentHarness) -> None:
    """They wait for their replicas, which run; and most primaries are needed to elect one."""
    primaries = [name for name, state in states(harness).items() if state["role"] == "master"][:2]
    containers = [harness.deployment.container(name) for name in primaries]
    with Traffic(harness.client, wait=1) as traffic:
        traffic.wait_for(50)
        harness.spec.engine.docker("kill", *containers)
        for name in primaries:
            note(data_of(harness, name) / "position", offset=-5000)
        harness.spec.engine.docker("start", *containers)
        traffic.wait_for(50, 300)
    harness.ensure()
    harness.assert_healthy()
    assert not traffic.lost(traffic.acknowledged)
    assert read(harness) == {"first"}


@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_replica_without_nodes_conf_keeps_the_only_copy(harness: DeploymentHarness) -> None:
    leader, (follower,) = leader_and_followers(harness)
    stop_all(harness)
    damage.lose_nodes_conf(data_of(harness, follower))
    damage.empty(data_of(harness, leader))
    start_all(harness)
    with pytest.raises(ProvisioningError, match="no member has a copy of its slots") as caught:
        harness.ensure()
    assert f"NODE={follower}" in str(caught.value)
    list(driver.repair(harness.spec, harness.known, follower, force=False, dry=False))
    assert read(harness) == {"first"}


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_shard_whose_nodes_all_lost_their_nodes_conf(harness: DeploymentHarness) -> None:
    leader, (follower,) = leader_and_followers(harness)
    stop_all(harness)
    for name in (leader, follower):
        damage.lose_nodes_conf(data_of(harness, name))
    start_all(harness)
    with pytest.raises(ProvisioningError, match="waiting for a member that has a copy of its slots"):
        harness.ensure()
    lines = list(driver.repair(harness.spec, harness.known, leader, force=False, dry=False))
    assert any(f"{follower} is damaged too (its nodes.conf is lost" in line for line in lines)
    assert read(harness) == {"first"}


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_cluster_serves_though_running_nodes_have_swapped_their_volumes(harness: DeploymentHarness) -> None:
    """Primaries, of whose replicas none can be elected."""
    one, other, _ = [name for name, state in states(harness).items() if state["role"] == "master"]
    containers = [harness.deployment.container(name) for name in (one, other)]
    harness.spec.engine.docker("kill", *containers)
    swap(data_of(harness, one), data_of(harness, other))
    harness.spec.engine.docker("start", *containers)
    harness.ensure()
    assert read(harness) == {"first"}


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_primary_with_the_volume_of_its_replica_is_reported(harness: DeploymentHarness) -> None:
    leader, (follower,) = leader_and_followers(harness)
    stop_all(harness)
    swap(data_of(harness, leader), data_of(harness, follower))
    start_all(harness)
    with pytest.raises(ProvisioningError, match=rf"nodes\.conf is that of ({leader}|{follower})") as caught:
        harness.ensure()
    assert "its own volume" in caught.value.fix
    stop_all(harness)
    swap(data_of(harness, leader), data_of(harness, follower))
    start_all(harness)
    harness.ensure()
    assert read(harness) == {"first"}


@MORE
@pytest.mark.parametrize("harness", [CLUSTER], indirect=True)
def test_a_stale_primary_does_not_replace_a_damaged_one(harness: DeploymentHarness) -> None:
    stale, (leader,) = leader_and_followers(harness)
    engine, deployment = harness.spec.engine, harness.deployment
    engine.docker("kill", deployment.container(stale))
    wait_until(lambda: deployment.executor.run(leader, "ROLE")[0] == "master", 120, "no failover")
    write(harness, "second", [node for node in deployment.plan.nodes if node.name != stale])
    engine.docker("kill", deployment.container(leader))
    damage.append_zeros(data_of(harness, leader))
    note(data_of(harness, stale) / "position", seen=-86_400)
    engine.docker("start", deployment.container(leader), deployment.container(stale))
    _repair_the_only_later_copy(harness, leader)


@MORE
def test_a_stale_replica_does_not_replace_a_damaged_primary(replicated: DeploymentHarness) -> None:
    leader, (stale, emptied) = leader_and_followers(replicated)
    engine, deployment = replicated.spec.engine, replicated.deployment
    engine.docker("kill", deployment.container(stale))
    write(replicated, "second", [node for node in deployment.plan.nodes if node.name != stale])
    for sentinel in deployment.plan.sentinels:  # they may be faster, which is a known limit
        deployment.executor.run(sentinel.name, "SENTINEL", "SET", "valkey", "down-after-milliseconds", "600000")
    engine.docker("kill", deployment.container(leader), deployment.container(emptied))
    damage.append_zeros(data_of(replicated, leader))
    damage.empty(data_of(replicated, emptied))
    note(data_of(replicated, stale) / "position", seen=-86_400)
    start_all(replicated)
    wait_until(lambda: state_of(replicated, stale).get("slave_priority") == "0", 120, "it might be elected")
    _repair_the_only_later_copy(replicated, leader)


def state_of(harness: DeploymentHarness, name: str) -> dict[str, str]:
    with contextlib.suppress(CommandRejectedError, NotRespondingError):
        return info(harness.deployment.executor, name, "replication")
    return {}


def _repair_the_only_later_copy(harness: DeploymentHarness, node: str) -> None:
    def is_sure() -> bool:
        return "no other member holds more" in waiting_of(harness.spec.engine, harness.deployment.container(node))

    wait_until(is_sure, 180, f"{node} doesn't stop")
    with pytest.raises(ProvisioningError, match="damaged after byte") as caught:
        harness.ensure()
    assert f"NODE={node}" in str(caught.value)
    list(driver.repair(harness.spec, harness.known, node, force=False, dry=False))
    assert read(harness) == {"second"}


@MORE
def test_a_replica_that_was_cut_off_never_leads_though_it_stopped_last(replicated: DeploymentHarness) -> None:
    leader, (cut_off, other) = leader_and_followers(replicated)
    engine, deployment = replicated.spec.engine, replicated.deployment
    deployment.executor.run(cut_off, "REPLICAOF", "127.0.0.1", "1")
    for sentinel in deployment.plan.sentinels:
        engine.docker("kill", deployment.container(sentinel.name))  # it would repair that
    time.sleep(15)
    with replicated.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "second")
    engine.docker("stop", deployment.container(leader), deployment.container(other))
    time.sleep(15)
    engine.docker("stop", deployment.container(cut_off))
    replicated.ensure()
    assert read(replicated) == {"second"}


@MORE
def test_two_of_three_are_damaged(replicated: DeploymentHarness) -> None:
    leader, (first, _second) = leader_and_followers(replicated)
    stop_all(replicated)
    damage.empty(data_of(replicated, leader))
    damage.append_zeros(data_of(replicated, first))
    start_all(replicated)
    replicated.ensure()
    assert read(replicated) == {"first"}


def test_the_volume_of_another_deployment_is_refused(replicated: DeploymentHarness) -> None:
    leader, _ = leader_and_followers(replicated)
    stop_all(replicated)
    position = data_of(replicated, leader) / "position"
    position.write_text(position.read_text().replace(replicated.spec.plan.project, "someone-elses", 1))
    start_all(replicated)
    with pytest.raises(ProvisioningError, match="someone-elses"):
        replicated.ensure()


def test_a_damaged_sentinel_learns_again(replicated: DeploymentHarness) -> None:
    _leader, _ = leader_and_followers(replicated)
    container = replicated.deployment.container("sentinel-1")
    replicated.spec.engine.docker("kill", container)
    (data_of(replicated, "sentinel-1") / "sentinel.conf").write_bytes(b"\x00garbage\n" * 50)
    replicated.spec.engine.docker("start", container)
    replicated.ensure()
    replicated.assert_healthy()
    assert list(data_of(replicated, "sentinel-1").glob("sentinel.conf.damaged-*"))


def test_a_replica_unknown_to_the_sentinels_is_attached_again(replicated: DeploymentHarness) -> None:
    _leader, (first, second) = leader_and_followers(replicated)
    executor, plan = replicated.deployment.executor, replicated.deployment.plan
    middle = next(node for node in plan.nodes if node.name == first)
    executor.run(second, "REPLICAOF", middle.host, str(middle.port))
    for sentinel in plan.sentinels:
        executor.run(sentinel.name, "SENTINEL", "RESET", "*")
    assert any(second in problem or "knows" in problem for problem in replicated.wrong())
    replicated.ensure()
    replicated.assert_healthy()
