"""The owner of a folder, by its files once its stack is down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.drivers import binary
from infra.drivers.processes import server
from infra.drivers.processes.folder import BACKUPS, BEFORE, DAMAGED, FINAL, Ownership, ServerFolder
from infra.drivers.processes.running_server import ServerSpec
from tests.support.single_server import client_of

OWNERSHIP = Ownership("valkey/test", "resource-2", binary.version())

LEFT_BEHIND = (
    f"{FINAL}20260101T000000Z.rdb",  # down, embedded and docker
    f"{FINAL}20260101T000000Z-data/appendonlydir/appendonly.aof.manifest",  # down of a server that doesn't start
    f"{FINAL}20260101T000000Z/node-0.rdb",  # down of a cluster
    f"{BEFORE}9.1.2-20260101T000000Z-node-0.rdb",  # upgrade, docker
    f"{DAMAGED}20260101T000000Z-node-1/dump.rdb",  # up and repair
    f"{BACKUPS}/20260101T000000Z/node-0.rdb",  # backup, embedded and docker
    f"{BACKUPS}/20260101T000000Z.part/node-0.rdb",  # backup, killed
    ".claim.json.x1",  # any of them, killed while it wrote a file
    ".valkey.conf.x1",
    ".users.acl.x1",
    "node-1/.valkey.conf.x1",
    "sentinel-0/valkey.log.1",
    "scratch/valkey.conf",  # restore into a cluster, killed
)


def put(folder: ServerFolder, name: str) -> None:
    file = folder.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")


def test_what_commands_leave_behind_is_the_stacks_own(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "stack")
    for name in LEFT_BEHIND:
        put(folder, name)
    (folder.path / "node-2" / "data").mkdir(parents=True)  # killed before the node was claimed
    assert folder.validation_error(OWNERSHIP) is None


@pytest.mark.parametrize("name", ["notes.txt", "data/dump.rdb", "node-0/data/dump.rdb", "node-1/claim.json", "Backups"])
def test_a_folder_with_unexpected_files_is_rejected(tmp_path: Path, name: str) -> None:
    folder = ServerFolder(tmp_path / "stack")
    put(folder, name)
    problem = folder.validation_error(OWNERSHIP)
    assert problem
    assert "has files that belong to something else" in str(problem)


def test_a_stack_comes_up_again_after_each_way_down(spec: ServerSpec) -> None:
    for number, keeps in enumerate((True, False, True)):
        server.ensure(replace(spec, ownership=replace(spec.ownership, resource=f"resource-{number}")))
        with client_of(spec) as client:
            client.set("key", "value")
        for name in LEFT_BEHIND:
            put(spec.folder, name)
        server.remove(
            replace(spec, ownership=replace(spec.ownership, resource=f"resource-{number}")), keep_snapshot=keeps
        )
        assert not list(spec.folder.path.glob(".*"))
        assert (spec.folder.path / BACKUPS / "20260101T000000Z" / "node-0.rdb").exists()
