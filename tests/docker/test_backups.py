"""Backups of real containers: taken on time, loaded before they count, kept as configured, and restored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.docker import DeploymentHarness, make_spec, remove_leftovers, running
from harness.waiting import wait_until
from infra.drivers.docker import driver
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.objects import SCRATCH
from infra.drivers.docker.plan import Backups
from infra.errors import ProvisioningError
from infra.hardening import Topology
from tests.support import killed

KEYS = 300

SIMPLER = [pytest.param(topology, marks=pytest.mark.thorough) for topology in ("single", "replicated")]


def fill(harness: DeploymentHarness) -> None:
    with harness.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "x" * number, ex=3600 if number % 2 else None)


def is_whole(harness: DeploymentHarness) -> bool:
    with harness.client() as client:
        values = [client.get(f"key:{number}") for number in range(KEYS)]
        assert 3000 < int(client.ttl("key:1")) <= 3600
        assert int(client.ttl("key:2")) == -1
    return values == ["x" * number for number in range(KEYS)]


def backup(harness: DeploymentHarness, *arguments: str) -> str:
    script = ["sh", "/etc/valkey/bin/backup", *arguments]
    return harness.spec.engine.docker("exec", harness.deployment.container("backup"), *script)


def backups(harness: DeploymentHarness) -> list[str]:
    """Those that are complete."""
    names = harness.spec.engine.docker("exec", harness.deployment.container("backup"), "ls").split()
    return [name for name in names if name.endswith("Z")]


@pytest.mark.parametrize("topology", [*SIMPLER, "cluster"])
def test_a_snapshot_of_the_end_starts_a_new_deployment(tmp_path: Path, topology: Topology) -> None:
    """Of a cluster there is one file a shard; one that holds them all comes from a single node."""
    with running(make_spec(tmp_path, "single")) as harness:
        fill(harness)
        harness.remove(keep_snapshot=True)
        (snapshot,) = tmp_path.glob("final-*.rdb")
    with running(replace(make_spec(tmp_path, topology), restore_from=snapshot)) as harness:
        harness.assert_healthy()
        assert is_whole(harness)
        harness.ensure()
        assert is_whole(harness)
        harness.spec.engine.docker("restart", harness.deployment.container("node-0"))
        wait_until(lambda: not [problem for problem in harness.wrong() if not problem.startswith("primaries:")])
        assert is_whole(harness), "the append-only file isn't complete"


def test_a_clusters_own_snapshots_start_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that loads each of them stops on request: it has nothing to save."""
    codes, docker = [], Engine.docker

    def noting(engine: Engine, *arguments: str, **options: Any) -> str:
        if (
            arguments[0] == "rm"
            and arguments[-1].endswith(f"-{SCRATCH}")
            and engine.inspect("container", arguments[-1])
        ):
            codes.append(docker(engine, "inspect", "--format", "{{.State.ExitCode}}", arguments[-1]).strip())
        return docker(engine, *arguments, **options)

    with running(make_spec(tmp_path / "old", "cluster")) as harness:
        fill(harness)
        harness.remove(keep_snapshot=True)
    monkeypatch.setattr(Engine, "docker", noting)
    with running(replace(make_spec(tmp_path / "new", "cluster"), restore_from=tmp_path / "old")) as harness:
        monkeypatch.undo()
        assert codes == ["0", "0", "0"]
        assert is_whole(harness)


@pytest.mark.parametrize(
    ("topology", "place"),
    [
        ("single", "restore._mark"),
        pytest.param("single", "restore._wait_until_loaded", marks=pytest.mark.thorough),
        pytest.param("single", "restore._reject_too_large", marks=pytest.mark.thorough),
        pytest.param("replicated", "restore._wait_for_append_only", marks=pytest.mark.thorough),
        pytest.param("replicated", "deployment.ContainerDeployment.up", marks=pytest.mark.thorough),
        pytest.param("cluster", "restore._wait_until_loaded", marks=pytest.mark.thorough),
        ("cluster", "restore._import"),
    ],
)
def test_a_restore_killed_at_any_moment_starts_again_and_has_all(
    tmp_path: Path, topology: Topology, place: str
) -> None:
    """With the scratch server still running, which holds the volume and writes into it."""
    with running(make_spec(tmp_path, "single")) as harness:
        fill(harness)
        harness.remove(keep_snapshot=True)
        (snapshot,) = tmp_path.glob("final-*.rdb")
    spec = replace(make_spec(tmp_path, topology), restore_from=snapshot)
    try:
        killed.ensure("infra.drivers.docker.driver", f"infra.drivers.docker.{place}", tmp_path, spec, None)
        if place != "restore._mark":
            with pytest.raises(
                ProvisioningError, match=r"a restore was interrupted.* -> pulumi config set restoreFrom"
            ):
                driver.ensure(replace(spec, restore_from=None), None)
        with running(spec) as harness:
            assert is_whole(harness)
            harness.assert_healthy()
            assert f"{spec.plan.project}-scratch" not in spec.engine.list_by_labels(
                "container", f"valkey.stack={spec.plan.stack}"
            )
    finally:
        remove_leftovers(spec.plan.stack)


def test_data_of_something_else_is_not_replaced_by_a_restore(tmp_path: Path) -> None:
    """As after a lost state."""
    with running(make_spec(tmp_path, "single")) as harness:
        fill(harness)
        (tmp_path / "dump.rdb").write_bytes(b"REDIS0011")
        with pytest.raises(ProvisioningError, match=r"have data that is not from .* -> pulumi config rm restoreFrom"):
            driver.ensure(replace(harness.spec, restore_from=tmp_path / "dump.rdb"), None)
        assert is_whole(harness)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        with harness.client() as client:
            client.set("large", "x" * 4_000_000)
        harness.remove(keep_snapshot=True)
        (snapshot,) = tmp_path.glob("final-*.rdb")
    spec = replace(make_spec(tmp_path, "single", memory=2), restore_from=snapshot)
    with pytest.raises(ProvisioningError, match="more than the configured 2097152"):
        driver.ensure(spec, None)
    assert not spec.engine.list_by_labels("volume", f"valkey.stack={spec.plan.stack}")


@pytest.mark.parametrize("topology", [SIMPLER[1], "cluster"])
def test_backups_are_taken_and_verified(tmp_path: Path, topology: Topology) -> None:
    spec = make_spec(tmp_path, topology, backups=Backups(interval=3600, keep=2))
    with running(spec) as harness:
        fill(harness)
        wait_until(lambda: len(backups(harness)) == 1)
        with ThreadPoolExecutor() as pool:  # two at once: one after the other
            taken = list(pool.map(lambda _: backup(harness, "now", "2"), range(2)))
        assert all(f"{KEYS} keys" in said for said in taken)
        assert len(backups(harness)) == 2
        newest = max(backups(harness))
        files = harness.spec.engine.docker("exec", harness.deployment.container("backup"), "ls", newest).split()
        assert len(files) == spec.plan.shards + 1
        harness.assert_healthy()
        harness.remove()
        volume = f"{spec.plan.project}_backups"
        assert spec.engine.inspect("volume", volume), "backups outlive what they are of"


LATE = """\
#!/bin/sh
[ "$1" != -s ] || [ -e "$0.asked" ] || { touch "$0.asked"; sleep 1; exit 1; }
exec /usr/bin/valkey-cli "$@"
"""
"""Its first query of the scratch server fails: it does not listen yet."""


def test_keys_are_counted_when_the_scratch_server_has_loaded_them_all(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single", backups=Backups(interval=3600, keep=2))) as harness:
        fill(harness)
        container = harness.deployment.container("backup")
        make = 'mkdir late && printf %s "$1" >late/valkey-cli && chmod +x late/valkey-cli'
        harness.spec.engine.docker("exec", container, "sh", "-c", make, "sh", LATE)
        path = f"PATH=/backup/{harness.spec.plan.project}/late:/usr/bin:/bin"
        script = ("sh", "/etc/valkey/bin/backup", "now", "2")
        said = harness.spec.engine.docker("exec", "--env", path, container, *script)
        assert f"{KEYS} keys" in said


def test_a_backup_that_fails_is_seen(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "single", backups=Backups(interval=3600, keep=2))
    with running(spec) as harness:
        wait_until(lambda: len(backups(harness)) == 1)
        harness.spec.engine.docker("stop", harness.deployment.container("node-0"))
        container = harness.deployment.container("backup")
        harness.spec.engine.docker("exec", container, "sh", "-c", "rm -rf *Z")
        harness.spec.engine.docker("restart", container)
        wait_until(lambda: harness.container("backup")["State"]["Health"]["Status"] == "unhealthy")
        assert "primaries responded" in harness.spec.engine.docker("logs", container)
        assert backups(harness) == []
