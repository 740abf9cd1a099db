"""Volumes that are not what a node had: swapped, old, foreign; and several damaged ones at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from infra.errors import ProvisioningError
from infra.hardening import Topology
from infra.local.docker import driver
from tests.docker import damage
from tests.docker.bed import Bed, make_spec, running
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
    age(tmp_path / "yesterday" / "position")
    write(bed, "second")
    leader, _ = leader_and_followers(bed)
    stop_all(bed)
    restore(tmp_path / "yesterday", data_of(bed, leader))
    start_all(bed)
    bed.ensure()
    assert read(bed) == {"second"}


def age(position: Path) -> None:
    """As if a day had passed since."""
    fields = position.read_text().split()
    fields[8] = str(int(fields[8]) - 86_400)
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


@MORE
def test_a_replica_that_was_cut_off_never_leads_though_it_stopped_last(replicated: Bed) -> None:
    leader, (cut_off, other) = leader_and_followers(replicated)
    engine, deployment = replicated.spec.engine, replicated.deployment
    deployment.console.run(cut_off, "REPLICAOF", "127.0.0.1", "1")
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
    console, plan = replicated.deployment.console, replicated.deployment.plan
    middle = next(node for node in plan.nodes if node.name == first)
    console.run(second, "REPLICAOF", middle.host, str(middle.port))
    for sentinel in plan.sentinels:
        console.run(sentinel.name, "SENTINEL", "RESET", "*")
    assert any(second in problem or "knows" in problem for problem in replicated.wrong())
    replicated.ensure()
    assert not replicated.wrong()
