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

from harness.docker import Bed, make_spec, running
from infra.drivers.docker import driver, roles
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.topology.executor import CommandRejectedError, NotRespondingError, info, wait_until
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
from tests.docker.traffic import Traffic


@pytest.fixture(params=["replicated", "cluster"])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    with running(make_spec(tmp_path, cast("Topology", request.param))) as bed:
        write(bed, "first")
        yield bed


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Bed]:
    with running(make_spec(tmp_path, "replicated")) as bed:
        write(bed, "first")
        yield bed


REPLICATED, CLUSTER = "replicated", "cluster"
MORE = pytest.mark.thorough


@pytest.mark.parametrize("bed", [pytest.param(REPLICATED, marks=MORE), CLUSTER], indirect=True)
def test_yesterdays_volume_of_a_primary_is_not_served(bed: Bed, tmp_path: Path) -> None:
    leader, _ = leader_and_followers(bed)
    stop_all(bed)
    damage.copy(data_of(bed, leader), tmp_path / "yesterday")
    start_all(bed)
    bed.ensure()
    note(tmp_path / "yesterday" / "position", seen=-86_400)
    write(bed, "second")
    leader, _ = leader_and_followers(bed)
    stop_all(bed)
    restore(tmp_path / "yesterday", data_of(bed, leader))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"second"}


@pytest.mark.parametrize("all_restart", [pytest.param(False, marks=MORE), True])
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_volume_of_the_time_when_the_primary_was_a_replica_is_not_served(
    bed: Bed, tmp_path: Path, *, all_restart: bool
) -> None:
    """Its nodes.conf takes its replica for the primary, which takes it for the primary."""
    leader, (follower,) = leader_and_followers(bed)
    engine, deployment = bed.spec.engine, bed.deployment
    restarted = [leader, follower, *(node.name for node in deployment.plan.nodes if all_restart)]
    containers = [deployment.container(name) for name in dict.fromkeys(restarted)]
    roles.fail_over(deployment.executor, deployment.plan, leader)
    bed.ensure()
    engine.docker("kill", containers[0])
    damage.copy(data_of(bed, leader), tmp_path / "earlier")
    note(tmp_path / "earlier" / "position", seen=-86_400)
    engine.docker("start", containers[0])
    bed.ensure()
    roles.fail_over(deployment.executor, deployment.plan, follower)
    bed.ensure()
    write(bed, "second")
    engine.docker("kill", *containers)
    restore(tmp_path / "earlier", data_of(bed, leader))
    engine.docker("start", *containers)
    bed.ensure()
    assert read(bed) == {"second"}


def test_an_append_only_file_that_was_cut_while_its_server_ran(replicated: Bed) -> None:
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
def test_swapped_volumes_lose_nothing(bed: Bed) -> None:
    leader, followers = leader_and_followers(bed)
    other = (
        followers[0]
        if bed.spec.plan.topology == "replicated"
        else next(name for name, state in states(bed).items() if state["role"] == "master" and name != leader)
    )
    stop_all(bed)
    swap(data_of(bed, leader), data_of(bed, other))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"first"}


@pytest.mark.parametrize("bed", [pytest.param(REPLICATED, marks=MORE), CLUSTER], indirect=True)
def test_all_at_once_and_the_primary_damaged(bed: Bed) -> None:
    leader, _ = leader_and_followers(bed)
    stop_all(bed)
    damage.cut_append_only_file(data_of(bed, leader))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"first"}


@MORE
def test_all_at_once_and_every_replica_emptied(bed: Bed) -> None:
    _leader, followers = leader_and_followers(bed)
    stop_all(bed)
    for name in followers:
        damage.empty(data_of(bed, name))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"first"}


@pytest.mark.parametrize("bed", [REPLICATED, pytest.param(CLUSTER, marks=MORE)], indirect=True)
def test_a_damaged_primary_and_emptied_replicas_are_never_served(bed: Bed) -> None:
    leader, followers = leader_and_followers(bed)
    stop_all(bed)
    damage.cut_append_only_file(data_of(bed, leader))
    for name in followers:
        damage.empty(data_of(bed, name))
    start_all(bed)
    with pytest.raises(ProvisioningError, match=r"bytes, but had") as caught:
        bed.ensure()
    assert f"NODE={leader}" in str(caught.value)
    assert any("bytes, but had" in problem for problem in bed.wrong())


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_two_emptied_primaries_are_replaced_by_their_replicas(bed: Bed) -> None:
    """One primary that is left can elect nobody."""
    primaries = [name for name, state in states(bed).items() if state["role"] == "master"]
    stop_all(bed)
    for name in primaries[:2]:
        damage.empty(data_of(bed, name))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"first"}


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_the_only_copy_is_kept_though_its_nodes_conf_is_lost(bed: Bed) -> None:
    leader, (follower,) = leader_and_followers(bed)
    stop_all(bed)
    damage.garble_nodes_conf(data_of(bed, leader))
    damage.empty(data_of(bed, follower))
    start_all(bed)
    with pytest.raises(ProvisioningError, match="no member has a copy of its slots") as caught:
        bed.ensure()
    assert f"NODE={leader}" in str(caught.value)
    lines = list(driver.repair(bed.spec, bed.known, leader, force=False, dry=False))
    assert any("nodes.conf is lost or damaged" in line for line in lines)
    assert read(bed) == {"first"}


@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_two_of_three_primaries_whose_replicas_have_more(bed: Bed) -> None:
    """They wait for their replicas, which run; and most primaries are needed to elect one."""
    primaries = [name for name, state in states(bed).items() if state["role"] == "master"][:2]
    containers = [bed.deployment.container(name) for name in primaries]
    with Traffic(bed.client, wait=1) as traffic:
        assert traffic.goes_on(50)
        bed.spec.engine.docker("kill", *containers)
        for name in primaries:
            note(data_of(bed, name) / "position", offset=-5000)
        bed.spec.engine.docker("start", *containers)
        assert traffic.goes_on(50, 300)
    bed.ensure()
    assert not bed.wrong()
    assert not traffic.lost(traffic.acknowledged)
    assert read(bed) == {"first"}


@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_replica_without_nodes_conf_keeps_the_only_copy(bed: Bed) -> None:
    leader, (follower,) = leader_and_followers(bed)
    stop_all(bed)
    damage.lose_nodes_conf(data_of(bed, follower))
    damage.empty(data_of(bed, leader))
    start_all(bed)
    with pytest.raises(ProvisioningError, match="no member has a copy of its slots") as caught:
        bed.ensure()
    assert f"NODE={follower}" in str(caught.value)
    list(driver.repair(bed.spec, bed.known, follower, force=False, dry=False))
    assert read(bed) == {"first"}


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_shard_whose_nodes_all_lost_their_nodes_conf(bed: Bed) -> None:
    leader, (follower,) = leader_and_followers(bed)
    stop_all(bed)
    for name in (leader, follower):
        damage.lose_nodes_conf(data_of(bed, name))
    start_all(bed)
    with pytest.raises(ProvisioningError, match="waiting for a member that has a copy of its slots"):
        bed.ensure()
    lines = list(driver.repair(bed.spec, bed.known, leader, force=False, dry=False))
    assert any(f"{follower} is damaged too (its nodes.conf is lost" in line for line in lines)
    assert read(bed) == {"first"}


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_cluster_serves_though_running_nodes_have_swapped_their_volumes(bed: Bed) -> None:
    """Primaries, of whose replicas none can be elected."""
    one, other, _ = [name for name, state in states(bed).items() if state["role"] == "master"]
    containers = [bed.deployment.container(name) for name in (one, other)]
    bed.spec.engine.docker("kill", *containers)
    swap(data_of(bed, one), data_of(bed, other))
    bed.spec.engine.docker("start", *containers)
    bed.ensure()
    assert read(bed) == {"first"}


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_primary_that_swapped_its_volume_with_its_replica_says_so(bed: Bed) -> None:
    leader, (follower,) = leader_and_followers(bed)
    stop_all(bed)
    swap(data_of(bed, leader), data_of(bed, follower))
    start_all(bed)
    with pytest.raises(ProvisioningError, match=rf"nodes\.conf is that of ({leader}|{follower})") as caught:
        bed.ensure()
    assert "its own volume" in caught.value.fix
    stop_all(bed)
    swap(data_of(bed, leader), data_of(bed, follower))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"first"}


@MORE
@pytest.mark.parametrize("bed", [CLUSTER], indirect=True)
def test_a_stale_primary_does_not_replace_a_damaged_one(bed: Bed) -> None:
    stale, (leader,) = leader_and_followers(bed)
    engine, deployment = bed.spec.engine, bed.deployment
    engine.docker("kill", deployment.container(stale))
    wait_until(lambda: deployment.executor.run(leader, "ROLE")[0] == "master", 120, "no failover")
    write(bed, "second", [node for node in deployment.plan.nodes if node.name != stale])
    engine.docker("kill", deployment.container(leader))
    damage.append_zeros(data_of(bed, leader))
    note(data_of(bed, stale) / "position", seen=-86_400)
    engine.docker("start", deployment.container(leader), deployment.container(stale))
    _repair_the_only_later_copy(bed, leader)


@MORE
def test_a_stale_replica_does_not_replace_a_damaged_primary(replicated: Bed) -> None:
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


def state_of(bed: Bed, name: str) -> dict[str, str]:
    with contextlib.suppress(CommandRejectedError, NotRespondingError):
        return info(bed.deployment.executor, name, "replication")
    return {}


def _repair_the_only_later_copy(bed: Bed, node: str) -> None:
    def is_sure() -> bool:
        return "no other member holds more" in waiting_of(bed.spec.engine, bed.deployment.container(node))

    wait_until(is_sure, 180, f"{node} doesn't stop")
    with pytest.raises(ProvisioningError, match="damaged after byte") as caught:
        bed.ensure()
    assert f"NODE={node}" in str(caught.value)
    list(driver.repair(bed.spec, bed.known, node, force=False, dry=False))
    assert read(bed) == {"second"}


@MORE
def test_a_replica_that_was_cut_off_never_leads_though_it_stopped_last(replicated: Bed) -> None:
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
def test_two_of_three_are_damaged(replicated: Bed) -> None:
    leader, (first, _second) = leader_and_followers(replicated)
    stop_all(replicated)
    damage.empty(data_of(replicated, leader))
    damage.append_zeros(data_of(replicated, first))
    start_all(replicated)
    replicated.ensure()
    assert read(replicated) == {"first"}


def test_the_volume_of_another_deployment_is_refused(replicated: Bed) -> None:
    leader, _ = leader_and_followers(replicated)
    stop_all(replicated)
    position = data_of(replicated, leader) / "position"
    position.write_text(position.read_text().replace(replicated.spec.plan.project, "someone-elses", 1))
    start_all(replicated)
    with pytest.raises(ProvisioningError, match="someone-elses"):
        replicated.ensure()


def test_a_damaged_sentinel_learns_again(replicated: Bed) -> None:
    _leader, _ = leader_and_followers(replicated)
    container = replicated.deployment.container("sentinel-1")
    replicated.spec.engine.docker("kill", container)
    (data_of(replicated, "sentinel-1") / "sentinel.conf").write_bytes(b"\x00garbage\n" * 50)
    replicated.spec.engine.docker("start", container)
    replicated.ensure()
    assert not replicated.wrong()
    assert list(data_of(replicated, "sentinel-1").glob("sentinel.conf.damaged-*"))


def test_a_replica_that_no_sentinel_knows_is_called_back(replicated: Bed) -> None:
    _leader, (first, second) = leader_and_followers(replicated)
    executor, plan = replicated.deployment.executor, replicated.deployment.plan
    middle = next(node for node in plan.nodes if node.name == first)
    executor.run(second, "REPLICAOF", middle.host, str(middle.port))
    for sentinel in plan.sentinels:
        executor.run(sentinel.name, "SENTINEL", "RESET", "*")
    assert any(second in problem or "knows" in problem for problem in replicated.wrong())
    replicated.ensure()
    assert not replicated.wrong()
