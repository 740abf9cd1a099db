"""Volumes that are not what a node had: swapped, old, foreign, newer, read-only, full; and several damaged at once."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import redis
from valkeykit.errors import ValkeykitError

from infra.errors import ProvisioningError
from infra.hardening import Topology
from infra.local.console import wait_until
from infra.local.docker import driver
from tests.docker import damage
from tests.docker.bed import NEW, OLD, Bed, make_spec, running
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
    position = data_of(bed, name) / "position"
    if not position.exists():  # its server has just started
        return False
    file, size, durable = position.read_text().split()[4:7]
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
    damage.copy(copy, data)


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


UNWRITABLE = {
    "read-only": (damage.make_read_only, damage.make_writable, "its volume is read-only -> mount it"),
    "full": (damage.fill_disk, damage.free_disk, "its volume is full .* -> free space"),
    "closed": (damage.close, damage.open_again, r"its volume can't be written \(Permission denied\) -> .*chown"),
}


@pytest.mark.parametrize(
    ("topology", "role", "kind"),
    [
        pytest.param("single", "primary", "read-only", marks=MORE),
        ("single", "primary", "full"),
        pytest.param("single", "primary", "closed", marks=MORE),
        ("replicated", "primary", "read-only"),
        pytest.param("replicated", "primary", "full", marks=MORE),
        ("replicated", "replica", "closed"),
        pytest.param("replicated", "replica", "full", marks=MORE),
        pytest.param("cluster", "primary", "full", marks=MORE),
    ],
)
def test_a_node_that_cannot_write_its_volume_does_not_start(
    tmp_path: Path, topology: Topology, role: str, kind: str
) -> None:
    spoil, mend, expected = UNWRITABLE[kind]
    with running(make_spec(tmp_path, topology)) as bed:
        write(bed, "first")
        node = stop_one(bed, role)
        with damage.small_disk(data_of(bed, node)):
            spoil(data_of(bed, node))
            bed.spec.engine.docker("start", bed.deployment.container(node))
            with pytest.raises(ProvisioningError, match=f"^{node} did not start: {expected}"):
                bed.ensure()
            assert any(re.match(f"{node}: {expected.partition(' ->')[0].rstrip()}", found) for found in bed.wrong())
            if topology != "single":
                assert read(bed) == {"first"}
            mend(data_of(bed, node))
            if kind == "read-only":  # which a container's mount stays until it is made again
                bed.spec.engine.docker("restart", "--time", "1", bed.deployment.container(node))
            bed.ensure()
            assert read(bed) == {"first"}
            assert not bed.wrong()


def stop_one(bed: Bed, role: str) -> str:
    """Kill a primary or a replica, and return its name."""
    leader = bed.primary()
    node = leader if role == "primary" else leader_and_followers(bed)[1][0]
    bed.spec.engine.docker("kill", bed.deployment.container(node))
    bed.spec.engine.docker("wait", bed.deployment.container(node))
    return node


@pytest.mark.parametrize("topology", ["single", pytest.param("replicated", marks=MORE)])
def test_a_disk_that_becomes_full(tmp_path: Path, topology: Topology) -> None:
    with running(make_spec(tmp_path, topology)) as bed:
        write(bed, "first")
        node = stop_one(bed, "primary")
        with damage.small_disk(data_of(bed, node)):
            bed.spec.engine.docker("start", bed.deployment.container(node))
            bed.ensure()
            if topology == "replicated":
                driver.hand_over(bed.spec, bed.known)
            damage.fill_disk(data_of(bed, node))
            wait_until(lambda: _is_reported(bed, node), 120, "the full disk isn't reported")
            with pytest.raises(ProvisioningError, match=f"{node}.*(No space left on device).* -> free space"):
                bed.ensure()
            damage.free_disk(data_of(bed, node))
            wait_until(lambda: not any("No space" in found for found in bed.wrong()), 120, "it doesn't recover")
            bed.ensure()
            assert read(bed) == {"first"}
            assert not bed.wrong()


def _is_reported(bed: Bed, node: str) -> bool:
    """Writes until the disk refuses some, which is noticed with the next ones."""
    with contextlib.suppress(redis.RedisError, ValkeykitError), bed.client() as client:
        for number in range(100):
            client.set(f"more:{number}", "x" * 1000)
    return any(node in problem and "No space left" in problem for problem in bed.wrong())


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a node of the newer version."""
    folder = tmp_path_factory.mktemp("newer")
    with running(make_spec(folder / "spec", "single", NEW)) as bed:
        write(bed, "newer")
        bed.spec.engine.docker("stop", bed.deployment.container("node-0"))
        damage.copy(data_of(bed, "node-0"), folder / "data")
    return folder / "data"


def put_newer(newer: Path, bed: Bed, node: str) -> None:
    """As an update that was taken back by hand leaves them."""
    restore(newer, data_of(bed, node))
    position = data_of(bed, node) / "position"
    position.write_text(" ".join([bed.spec.plan.project, *position.read_text().split()[1:]]))


@pytest.mark.parametrize("has_position", [True, False])
def test_data_of_a_newer_version_is_refused_until_that_version_runs(
    tmp_path: Path, newer: Path, *, has_position: bool
) -> None:
    with running(make_spec(tmp_path, "single", OLD)) as bed:
        write(bed, "first")
        node = stop_one(bed, "primary")
        put_newer(newer, bed, node)
        if not has_position:
            (data_of(bed, node) / "position").unlink()
        bed.spec.engine.docker("start", bed.deployment.container(node))
        with pytest.raises(ProvisioningError, match=r"written by .*a newer version.* -> pulumi config set version"):
            bed.ensure()
        assert any("a newer version" in problem for problem in bed.wrong())
        with pytest.raises(ProvisioningError, match=r"a newer version.*pulumi config set version"):
            list(driver.repair(bed.spec, bed.known, node, force=False, dry=False))
        bed.use(NEW)
        bed.ensure()
        assert read(bed) == {"newer"}


@pytest.mark.parametrize("role", ["primary", pytest.param("replica", marks=MORE)])
def test_data_of_a_newer_version_in_a_group_is_set_aside(tmp_path: Path, newer: Path, role: str) -> None:
    with running(make_spec(tmp_path, "replicated", OLD)) as bed:
        write(bed, "first")
        node = stop_one(bed, role)
        put_newer(newer, bed, node)
        bed.spec.engine.docker("start", bed.deployment.container(node))
        bed.ensure()
        assert read(bed) == {"first"}
        assert not bed.wrong()
        assert list(data_of(bed, node).glob("set-aside-*/appendonlydir"))
