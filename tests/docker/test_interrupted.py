"""Commands that were killed, and servers that don't run: the next command resumes, or prints the fix."""

from __future__ import annotations

import logging
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.docker import IMAGE, NEW, OLD, DeploymentHarness, make_spec, remove_leftovers, running
from harness.waiting import wait_until
from infra.drivers.docker import driver
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.driver import DeploymentSpec
from infra.drivers.docker.objects import DockerObjects
from infra.errors import ProvisioningError
from tests.docker.stored import data_of, leader_and_followers, read, write
from tests.support import killed

HEX = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
def single(tmp_path: Path) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path, "single")) as harness:
        write(harness, "first")
        yield harness


def left(spec: DeploymentSpec) -> list[str]:
    label = f"valkey.stack={spec.plan.stack}"
    return [name for kind in ("container", "volume", "network") for name in spec.engine.list_by_labels(kind, label)]


def objects(spec: DeploymentSpec) -> DockerObjects:
    return DockerObjects(spec.engine, spec.plan.stack, spec.plan.project)


def kill(harness: DeploymentHarness, call: str, folder: Path) -> None:
    """Have an `ensure` killed at a call."""
    killed.ensure("infra.drivers.docker.driver", f"infra.drivers.docker.{call}", folder, harness.spec, harness.known)


def helpers(harness: DeploymentHarness) -> list[str]:
    return harness.spec.engine.list_by_labels("container", f"valkey.deployment={harness.spec.plan.project}")


def test_the_end_after_a_killed_restore_leaves_nothing(tmp_path: Path) -> None:
    """With the scratch server still running; no state has the containers."""
    with running(make_spec(tmp_path / "old", "single")) as harness:
        write(harness, "first")
        harness.remove(keep_snapshot=True)
    (snapshot,) = (tmp_path / "old").glob("final-*.rdb")
    spec = replace(make_spec(tmp_path, "single"), restore_from=snapshot)
    try:
        call = "infra.drivers.docker.restore._wait_until_loaded"
        killed.ensure("infra.drivers.docker.driver", call, tmp_path, spec, None)
        assert f"{spec.plan.project}-scratch" in left(spec)
        driver.preflight(spec, None)
        with pytest.raises(ProvisioningError, match="another Docker engine"):
            driver.clean_up(objects(spec), "another", tmp_path)
        driver.clean_up(objects(spec), spec.engine.check(), tmp_path)
        assert left(spec) == []
        assert list(tmp_path.glob("final-*")) == []
    finally:
        remove_leftovers(spec.plan.stack)


def test_the_end_keeps_data_that_no_state_has(single: DeploymentHarness, tmp_path: Path) -> None:
    spec = single.spec
    by_hand = f"{spec.plan.project}_node-1"  # as an operator who copies data into a volume
    spec.engine.docker("volume", "create", by_hand)
    driver.clean_up(objects(spec), spec.engine.check(), tmp_path)
    assert left(spec) == []
    assert not spec.engine.inspect("volume", by_hand)
    assert len(list(tmp_path.glob("final-*-node-1.tar"))) == 1
    assert "appendonlydir/appendonly.aof.manifest" in archived(tmp_path)


def archived(folder: Path) -> list[str]:
    (file,) = folder.glob("final-*-node-0.tar")
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        return [name.removeprefix("./") for name in archive.getnames()]


def test_helpers_of_killed_commands_are_removed(single: DeploymentHarness, tmp_path: Path) -> None:
    for number in range(2):
        kill(single, "volumes._entry", tmp_path)
        (helper,) = helpers(single)
        (facts,) = single.spec.engine.inspect("container", helper)
        assert {"valkey.stack", "valkey.purpose"} <= set(facts["Config"]["Labels"])
        if number == 0:
            single.ensure()
            assert helpers(single) == []
            single.assert_healthy()
    single.remove(keep_snapshot=True)
    assert left(single.spec) == []


def test_a_container_that_compose_was_replacing_is_removed(single: DeploymentHarness) -> None:
    """Compose gives it the service's name last."""
    engine, container = single.spec.engine, single.deployment.container("node-0")
    engine.docker("rename", container, f"0123456789ab_{container}")
    single.ensure()
    single.assert_healthy()
    assert read(single) == {"first"}


def test_everything_has_the_stack_and_a_purpose(single: DeploymentHarness) -> None:
    engine = single.spec.engine
    found = [
        facts for kind in ("container", "volume") for facts in engine.inspect(kind, *labelled(single, kind))
    ]  # fmt: skip
    for facts in found:
        labels = facts.get("Config", facts)["Labels"]
        assert labels["valkey.stack"] == single.spec.plan.stack
        assert labels.get("valkey.purpose") or labels["com.docker.compose.volume"]


def labelled(harness: DeploymentHarness, kind: str) -> list[str]:
    return harness.spec.engine.list_by_labels(kind, f"valkey.stack={harness.spec.plan.stack}")


@pytest.mark.parametrize("kind", ["volume", "network"])
def test_the_end_is_refused_while_something_else_uses_what_it_removes(single: DeploymentHarness, kind: str) -> None:
    engine, name = single.spec.engine, f"{single.spec.plan.project}-foreign"
    use = ("-v", f"{single.deployment.volume('conf')}:/v") if kind == "volume" else (
        "--network", f"{single.spec.plan.project}_default"
    )  # fmt: skip
    engine.docker("create", "--name", name, *use, f"{IMAGE}:{NEW}", "true")
    try:
        with pytest.raises(ProvisioningError, match=f"{name} uses a {kind} of .* -> docker rm --force {name}"):
            single.remove(keep_snapshot=True)
        single.assert_healthy()
        assert read(single) == {"first"}
    finally:
        engine.docker("rm", "--force", "--volumes", name)
    single.remove()
    assert left(single.spec) == []


def test_the_way_back_of_a_killed_upgrade_is_refused(tmp_path: Path) -> None:
    """Its state has the version before it; the servers have the newer one, and their volumes note it."""
    with running(make_spec(tmp_path, "single", OLD)) as harness:
        harness.use(NEW)
        kill(harness, "driver._inspect", tmp_path)
        write(harness, "first")
        harness.use(OLD)
        newer = rf"written by Valkey {NEW}; {OLD} is older .* -> pulumi config set version 9\.1"
        container, before = harness.deployment.container("node-0"), harness.container("node-0")["Id"]
        for action in (None, "stop", "rm"):
            if action:
                harness.spec.engine.docker(action, container)
            for attempt in (driver.ensure, driver.preflight):
                with pytest.raises(ProvisioningError, match=newer):
                    attempt(harness.spec, harness.known)
            assert action == "rm" or harness.container("node-0")["Id"] == before
        harness.use(NEW)
        harness.ensure()
        assert read(harness) == {"first"}


def crash(harness: DeploymentHarness) -> None:
    """Have the older server on files that only the newer one reads, as after an AOF rewrite."""
    executor = harness.deployment.executor
    executor.run("node-0", "BGREWRITEAOF")
    wait_until(lambda: list((data_of(harness, "node-0") / "appendonlydir").glob("*.2.base.rdb")))
    older = ContainerDeployment(
        harness.spec.engine, replace(harness.deployment.plan, image=f"{IMAGE}:{OLD}"), harness.spec.secrets
    )
    older.compose("stop")
    (data_of(harness, "node-0") / "position").unlink()
    older.compose("up", "--detach", "--force-recreate")
    harness.state = replace(harness.known, version=OLD, image=f"{IMAGE}:{OLD}")
    with pytest.raises(ProvisioningError):
        older.wait()


def test_servers_that_crash_on_an_older_version_are_upgraded(
    single: DeploymentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    crash(single)
    with caplog.at_level(logging.WARNING):
        single.ensure()
    assert f"no snapshot before Valkey {NEW}: node-0" in caplog.text
    single.assert_healthy()
    assert read(single) == {"first"}


def test_the_end_of_servers_that_crash_keeps_their_files(
    single: DeploymentHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crash(single)
    with caplog.at_level(logging.WARNING):
        single.remove(keep_snapshot=True)
    assert "no final snapshot: node-0" in caplog.text
    assert "appendonlydir/appendonly.aof.manifest" in archived(tmp_path)
    assert left(single.spec) == []


def test_a_backup_needs_no_node_that_is_away(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "replicated")) as harness:
        write(harness, "first")
        leader, (replica, other) = leader_and_followers(harness)
        engine, containers = harness.spec.engine, harness.deployment.container
        engine.docker("kill", *(containers(sentinel.name) for sentinel in harness.deployment.plan.sentinels))
        for number, node in enumerate((replica, leader, other), start=1):
            engine.docker("kill", containers(node))
            folder = tmp_path / f"{number}"
            if node == other:
                with pytest.raises(ProvisioningError, match=r"node-0 doesn't respond: .*; node-2 doesn't") as caught:
                    driver.snapshot(harness.spec, harness.known, folder)
                assert not HEX.search(str(caught.value))
                assert not list(folder.glob("*"))
            else:
                driver.snapshot(harness.spec, harness.known, folder)
                assert len(list(folder.glob("backup-*.rdb"))) == 1


def test_a_backup_of_a_cluster_needs_no_node_that_is_away(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "cluster")) as harness:
        write(harness, "first")
        leader, (replica,) = leader_and_followers(harness)
        harness.spec.engine.docker("kill", harness.deployment.container(replica))
        driver.snapshot(harness.spec, harness.known, tmp_path / "one")
        assert len(list((tmp_path / "one").glob("*.rdb"))) == 3
        harness.spec.engine.docker("kill", harness.deployment.container(leader))
        with pytest.raises(ProvisioningError, match=f"{leader} doesn't respond"):
            driver.snapshot(harness.spec, harness.known, tmp_path / "none")


def test_unavailable_resources_are_rejected_before_anything_changes(single: DeploymentHarness, tmp_path: Path) -> None:
    """As in a preview, with the secrets of the state."""
    spec, known, before = single.spec, single.known, single.container("node-0")
    absent = replace(spec, source=replace(spec.source, reference="127.0.0.1:1/valkey:9.1.7"))
    small = replace(spec, plan=replace(spec.plan, directives={**spec.plan.directives, "maxmemory": "1000"}))
    older = replace(spec, version=OLD, source=replace(spec.source, reference=f"{IMAGE}:{OLD}"))
    for wrong, problem in (
        (absent, r"127\.0\.0\.1:1/valkey:9\.1\.7 is not available: .*connection refused -> .*docker\.imageFile"),
        (small, "may not evict"),
        (older, f"{OLD} is older"),
        (replace(spec, version="8.1"), "not 8.1"),
    ):
        with pytest.raises(ProvisioningError, match=problem):
            driver.preflight(wrong, known)
    without = replace(spec, secrets=replace(spec.secrets, passwords={}))
    driver.preflight(without, known)
    driver.preflight(spec, known)
    after = single.container("node-0")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert helpers(single) == []
    single.remove(keep_snapshot=True)
    (snapshot,) = tmp_path.glob("final-*.rdb")
    new = replace(older, restore_from=snapshot)
    with pytest.raises(ProvisioningError, match=rf"written by Valkey {NEW}, Valkey {OLD} can't read it -> .*9\.1"):
        driver.preflight(new, None)
