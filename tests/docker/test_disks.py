"""Volumes that a node can't write, or whose data a newer version has written."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
import redis
from valkeykit.errors import ValkeykitError

from harness.docker import NEW, OLD, DeploymentHarness, make_spec, running
from infra.drivers.docker import driver
from infra.drivers.topology.node_executor import wait_until
from infra.errors import ProvisioningError
from infra.hardening import Topology
from tests.docker import damage
from tests.docker.stored import data_of, read, restore, stop_one, write

MORE = pytest.mark.thorough

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
        pytest.param("replicated", "primary", "read-only", marks=MORE),
        pytest.param("replicated", "primary", "full", marks=MORE),
        pytest.param("replicated", "replica", "closed", marks=MORE),
        pytest.param("replicated", "replica", "full", marks=MORE),
        pytest.param("cluster", "primary", "full", marks=MORE),
    ],
)
def test_a_node_that_cannot_write_its_volume_does_not_start(
    tmp_path: Path, topology: Topology, role: str, kind: str
) -> None:
    damage_disk, repair_disk, expected = UNWRITABLE[kind]
    with running(make_spec(tmp_path, topology)) as harness:
        write(harness, "first")
        node = stop_one(harness, role)
        with damage.small_disk(data_of(harness, node)):
            damage_disk(data_of(harness, node))
            harness.spec.engine.docker("start", harness.deployment.container(node))
            with pytest.raises(ProvisioningError, match=f"^{node} did not start: {expected}"):
                harness.ensure()
            assert any(re.match(f"{node}: {expected.partition(' ->')[0].rstrip()}", found) for found in harness.wrong())
            if topology != "single":
                assert read(harness) == {"first"}
            repair_disk(data_of(harness, node))
            if kind == "read-only":  # which a container's mount stays until it is made again
                harness.spec.engine.docker("restart", "--time", "1", harness.deployment.container(node))
            harness.ensure()
            assert read(harness) == {"first"}
            harness.assert_healthy()


@pytest.mark.parametrize("topology", ["single", pytest.param("replicated", marks=MORE)])
def test_a_disk_that_becomes_full(tmp_path: Path, topology: Topology) -> None:
    with running(make_spec(tmp_path, topology)) as harness:
        write(harness, "first")
        node = stop_one(harness, "primary")
        with damage.small_disk(data_of(harness, node)):
            harness.spec.engine.docker("start", harness.deployment.container(node))
            harness.ensure()
            if topology == "replicated":
                driver.fail_over(harness.spec, harness.known)
            damage.fill_disk(data_of(harness, node))
            wait_until(lambda: _is_reported(harness, node), 120, "the full disk isn't reported")
            with pytest.raises(ProvisioningError, match=f"{node}.*(No space left on device).* -> free space"):
                harness.ensure()
            damage.free_disk(data_of(harness, node))
            wait_until(lambda: not any("No space" in found for found in harness.wrong()), 300, "it doesn't recover")
            harness.ensure()
            assert read(harness) == {"first"}
            harness.assert_healthy()


def _is_reported(harness: DeploymentHarness, node: str) -> bool:
    """Writes until the disk refuses some, which is noticed with the next ones."""
    with contextlib.suppress(redis.RedisError, ValkeykitError), harness.client() as client:
        for number in range(100):
            client.set(f"more:{number}", "x" * 1000)
    return any(node in problem and "No space left" in problem for problem in harness.wrong())


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a node of the newer version."""
    folder = tmp_path_factory.mktemp("newer")
    with running(make_spec(folder / "spec", "single", NEW)) as harness:
        write(harness, "newer")
        harness.spec.engine.docker("stop", harness.deployment.container("node-0"))
        damage.copy(data_of(harness, "node-0"), folder / "data")
    return folder / "data"


def put_newer(newer: Path, harness: DeploymentHarness, node: str) -> None:
    """As an update that was taken back by hand leaves them."""
    restore(newer, data_of(harness, node))
    position = data_of(harness, node) / "position"
    position.write_text(" ".join([harness.spec.plan.project, *position.read_text().split()[1:]]))


@pytest.mark.parametrize("has_position", [True, False])
def test_data_of_a_newer_version_is_refused_until_that_version_runs(
    tmp_path: Path, newer: Path, *, has_position: bool
) -> None:
    with running(make_spec(tmp_path, "single", OLD)) as harness:
        write(harness, "first")
        node = stop_one(harness, "primary")
        put_newer(newer, harness, node)
        if not has_position:
            (data_of(harness, node) / "position").unlink()
        harness.spec.engine.docker("start", harness.deployment.container(node))
        with pytest.raises(
            ProvisioningError, match=r"written by .*(a newer version|is older).* -> pulumi config set version"
        ):
            harness.ensure()
        assert any("a newer version" in problem for problem in harness.wrong())
        with pytest.raises(ProvisioningError, match=r"a newer version.*pulumi config set version"):
            list(driver.repair(harness.spec, harness.known, node, force=False, dry=False))
        harness.use(NEW)
        harness.ensure()
        assert read(harness) == {"newer"}


@MORE
@pytest.mark.parametrize("role", ["primary", "replica"])
def test_data_of_a_newer_version_in_a_group_is_set_aside(tmp_path: Path, newer: Path, role: str) -> None:
    with running(make_spec(tmp_path, "replicated", OLD)) as harness:
        write(harness, "first")
        node = stop_one(harness, role)
        put_newer(newer, harness, node)
        harness.spec.engine.docker("start", harness.deployment.container(node))
        folder = data_of(harness, node)
        # Before, `make up` takes it for a downgrade: on a slow machine Sentinels take long to replace a primary.
        wait_until(lambda: bool(list(folder.glob("set-aside-*/position"))), 300, "its files are not set aside")
        harness.ensure()
        assert read(harness) == {"first"}
        harness.assert_healthy()
        assert list(folder.glob("set-aside-*/appendonlydir"))
