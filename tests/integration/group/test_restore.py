"""A group's last state, and a new one that starts with it, with another's, or with a single server's."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from valkeykit.connection import connect
from valkeykit.url import Address

from harness.ports import GROUPS, reserve
from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import group_driver, ports, process, running_server, server
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.group import GroupSpec
from infra.errors import ProvisioningError
from tests.support import killed
from tests.support.server_group import PASSWORDS, client_of, directives, end, kill, made, pids

own_cluster = pytest.mark.parametrize("spec", ["cluster"], indirect=True)


def test_down_leaves_the_last_state_that_a_new_one_starts_with(spec: GroupSpec, tmp_path: Path) -> None:
    group_driver.ensure(spec)
    with contextlib.closing(client_of(spec, "admin")) as client:
        for number in range(500):
            client.set(f"key:{number}", number, ex=1000)
        client.function_load("#!lua name=lib\nredis.register_function('f', function() return 1 end)", replace=True)
    kill(spec, "node-0")  # who is dead is no obstacle
    group_driver.remove(spec, keep_snapshot=True)
    (snapshot,) = spec.folder.path.iterdir()
    assert pids(spec) == {}
    assert snapshot.is_dir() == (spec.topology == "cluster")
    for source in (snapshot, *([min(snapshot.iterdir())] if snapshot.is_dir() else [])):
        other = replace(made(tmp_path / "other", spec.topology, reserve(GROUPS)), restore_from=source)
        try:
            assert group_driver.ensure(other).problems == []
            with contextlib.closing(client_of(other)) as client:
                found = [client.get(f"key:{number}") for number in range(500)]
                whole = [str(number) for number in range(500)]
                assert found == whole if source == snapshot else set(found) < {*whole, None} and any(found)
                assert 900 < client.ttl(next(f"key:{n}" for n in range(500) if found[n])) <= 1000
            group_driver.remove(other, keep_snapshot=False)
            assert not other.folder.path.exists()
        finally:
            end(other.folder.path)


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_an_interrupted_restore_begins_again(spec: GroupSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = _dump(tmp_path)
    restoring = replace(spec, restore_from=dump)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running_server, "wait_for_append_only" if spec.topology == "replicated" else "inspect", killed)
    with pytest.raises(KeyboardInterrupt):
        group_driver.ensure(restoring)
    monkeypatch.undo()
    group_driver.ensure(spec)  # the ownership remembers the file
    with contextlib.closing(client_of(spec)) as client:
        assert client.get("key:1") == "1"


@pytest.mark.parametrize(
    ("spec", "call"),
    [
        ("replicated", "infra.drivers.processes.running_server.wait_for_append_only"),
        pytest.param("replicated", "infra.drivers.topology.replication.attach_replicas", marks=pytest.mark.thorough),
        pytest.param("replicated", "infra.drivers.processes.group_driver._inspect", marks=pytest.mark.thorough),
        pytest.param("cluster", "infra.drivers.processes.cluster_import.import_files", marks=pytest.mark.thorough),
        ("cluster", "infra.drivers.processes.cluster_import._move"),
        pytest.param("cluster", "infra.drivers.processes.cluster_import._owners", marks=pytest.mark.thorough),
    ],
    indirect=["spec"],
)
def test_a_restore_killed_at_any_moment_starts_again_and_has_all(spec: GroupSpec, tmp_path: Path, call: str) -> None:
    """The servers that it started, a scratch one too, go on meanwhile."""
    restoring = replace(spec, restore_from=_dump(tmp_path, count=3000))
    killed.ensure("infra.drivers.processes.group_driver", call, tmp_path, restoring)
    group_driver.ensure(restoring)
    with contextlib.closing(client_of(spec)) as client:
        assert all(client.get(f"key:{number}") == str(number) for number in range(3000))
    assert not (spec.folder.path / "scratch").exists()


@own_cluster
def test_a_killed_restore_leaves_no_scratch_server_after_down(spec: GroupSpec, tmp_path: Path) -> None:
    killed.ensure(
        "infra.drivers.processes.group_driver",
        "infra.drivers.processes.cluster_import._move",
        tmp_path,
        replace(spec, restore_from=_dump(tmp_path, count=3000)),
    )
    assert process.find(ServerFolder(spec.folder.path / "scratch"))
    group_driver.remove(spec, keep_snapshot=False)
    assert process.find(ServerFolder(spec.folder.path / "scratch")) is None
    assert not spec.folder.path.exists()


@own_cluster
def test_a_restore_that_does_not_fit_is_rejected_and_resumes_with_more_memory(spec: GroupSpec, tmp_path: Path) -> None:
    big = replace(spec, restore_from=_dump(tmp_path, b"x" * 1024**2, 40), directives=directives("cluster", 8 * 1024**2))
    with pytest.raises(ProvisioningError, match="pulumi config set memory"):
        group_driver.ensure(big)
    group_driver.ensure(replace(big, directives=spec.directives))
    with contextlib.closing(client_of(spec)) as client:
        assert all(client.exists(f"key:{number}") for number in range(40))


@own_cluster
def test_what_a_cluster_cant_hold_is_refused(spec: GroupSpec, tmp_path: Path) -> None:
    with pytest.raises(ProvisioningError, match="keys in db3, and a cluster has only db0"):
        group_driver.ensure(replace(spec, restore_from=_dump(tmp_path, database=3)))


def _dump(folder: Path, value: bytes | None = None, count: int = 100, database: int = 0) -> Path:
    """An RDB file of a single server."""
    single = running_server.ServerSpec(
        folder=ServerFolder(folder / "single"),
        ownership=Ownership("valkey/single", "resource", binary.version()),
        port=reserve(GROUPS),
        directives=hardening.directives("queue", 64 * 1024**2, "embedded"),
        acl=hardening.acl(PASSWORDS),
        password=PASSWORDS["admin"],
    )
    port = server.ensure(single).port
    with connect(Address(ports.HOST, port, username="admin", password=PASSWORDS["admin"], database=database)) as client:
        for number in range(count):
            client.set(f"key:{number}", value or number)
    server.remove(single, keep_snapshot=True)
    (snapshot,) = single.folder.path.iterdir()
    return snapshot
