"""Volumes that are not what a node had: swapped, old, foreign, read-only; and several damaged ones at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from infra.errors import ProvisioningError
from infra.hardening import Topology
from infra.local.console import wait_until
from tests.docker import damage
from tests.docker.bed import Bed, make_spec, running
from tests.docker.test_damage import states

KEYS = 300


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


def write(bed: Bed, value: str) -> None:
    """Overwrite every key, and wait until every node has it on its disk."""
    with bed.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", value)
    for node in bed.deployment.plan.nodes:
        wait_until(lambda name=node.name: _is_in_sync(bed, name), 60, f"{node.name} is behind")  # type: ignore[misc]


def _is_in_sync(bed: Bed, name: str) -> bool:
    """Whether its position counts all that it has as durable."""
    file, size, durable = (data_of(bed, name) / "position").read_text().split()[4:7]
    written = (data_of(bed, name) / "appendonlydir" / file).stat().st_size
    return 0 < written == int(size) == int(durable)


def read(bed: Bed) -> set[str | None]:
    with bed.client() as client:
        return {client.get(f"key:{number}") for number in range(KEYS)}


def data_of(bed: Bed, name: str) -> Path:
    return damage.volume(bed.spec.engine, bed.deployment.volume(name))


def stop_all(bed: Bed) -> None:
    containers = [bed.deployment.container(node.name) for node in bed.deployment.plan.nodes]
    bed.spec.engine.docker("kill", *containers)
    bed.spec.engine.docker("wait", *containers)


def start_all(bed: Bed) -> None:
    bed.spec.engine.docker("start", *(bed.deployment.container(node.name) for node in bed.deployment.plan.nodes))


def leader_and_followers(bed: Bed) -> tuple[str, list[str]]:
    """A primary, and those of its group that follow it."""
    known = states(bed)
    addresses = {node.name: f"{node.host}:{node.port}" for node in bed.deployment.plan.nodes}
    leader = next(name for name, state in known.items() if state["role"] == "master")
    followers = [
        name
        for name, state in known.items()
        if state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == addresses[leader]
    ]
    return leader, followers


def swap(one: Path, other: Path) -> None:
    aside = one.parent / "aside"
    aside.mkdir()
    for source, target in ((one, aside), (other, one), (aside, other)):
        for entry in list(source.iterdir()):
            shutil.move(entry, target / entry.name)
    aside.rmdir()


def restore(copy: Path, data: Path) -> None:
    damage.empty(data)
    _copy(copy, data)


def _copy(source: Path, target: Path) -> None:
    """With owners, as only root can."""
    import os

    shutil.copytree(source, target, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, 999, 999)


REPLICATED, CLUSTER = "replicated", "cluster"
MORE = pytest.mark.thorough


@pytest.mark.parametrize("bed", [pytest.param(REPLICATED, marks=MORE), CLUSTER], indirect=True)
def test_yesterdays_volume_of_a_primary_is_not_served(bed: Bed, tmp_path: Path) -> None:
    leader, _ = leader_and_followers(bed)
    stop_all(bed)
    _copy(data_of(bed, leader), tmp_path / "yesterday")
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
    assert (data_of(replicated, "sentinel-1") / "sentinel.conf.damaged").exists()


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
