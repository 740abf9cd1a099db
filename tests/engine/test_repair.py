"""A server that doesn't start because of its files: `make up` names the repair, which keeps what can be loaded."""

from __future__ import annotations

import pytest

from harness.project import Project
from infra.drivers.processes.folder import ServerFolder
from infra.errors import ProvisioningError
from stackctl.errors import StackError
from stackctl.operations import repair
from tests.engine.test_keys import KEYS, damage, write


def lose_manifest(folder: ServerFolder) -> None:
    (folder.data / "appendonlydir" / "appendonly.aof.manifest").unlink()


def test_a_damaged_server_is_repaired(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)  # as `make` runs it
    project.stack.up()
    write(project)
    stack = project.stack
    with pytest.raises(ProvisioningError, match="runs"):
        list(repair.run(stack, "node-0"))
    damage(project.folder, lose_manifest)
    with pytest.raises(StackError, match="make repair NODE=node-0"):
        stack.up()
    with pytest.raises(ProvisioningError, match="NODE=node-0"):
        list(repair.run(stack, "node-7"))
    before = sorted(path.name for path in project.folder.path.rglob("*"))
    assert "manifest" in "".join(repair.preview(stack, "node-0"))
    assert sorted(path.name for path in project.folder.path.rglob("*")) == before
    done = list(repair.run(stack, "node-0"))
    assert "kept in" in done[-2]
    assert done[-1].endswith("make up STACK=test")
    stack.up()
    with project.client() as client:
        assert client.dbsize() == KEYS
