"""One command after the other on the same stack: what one leaves is no obstacle to the next."""

from __future__ import annotations

from functools import partial

import pytest

from harness.project import Project
from stackctl import config_change, export
from stackctl.errors import StackError
from stackctl.operations import backup


def test_a_stack_comes_up_again_with_what_every_command_left(project: Project) -> None:
    stack = project.stack
    for number in range(2):
        assert stack.up() is True
        with project.client() as client:
            client.set("key", "value")
        backup.take(stack)
        (project.folder.path / "backups" / f"{number}.part").mkdir()
        export.write(stack.root, stack.name, stack.outputs()["env"], "dotenv", None)
        stack.down()
        export.forget(stack.root, stack.name)
        (project.folder.path / f"before-9.{number}-20260101T000000Z.rdb").touch()
        (project.folder.path / f"damaged-2026010{number}T000000Z").mkdir()
    assert len(list(backup.verify(stack))) == 1
    assert stack.up() is True


def test_what_would_be_refused_later_is_refused_in_a_preview(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.configure(workload="queue", memory="64mb")
    project.stack.up()
    with project.client() as client:
        for number in range(20):
            client.set(f"key:{number}", b"x" * 1024**2)
    config_change.preview(project.stack, lambda: {"passwordRotation": "next"})  # passwords that no client has yet
    for changes in ({"memory": "16mb"}, {"memory": "16mb", "passwordRotation": "next"}):
        capfd.readouterr()
        with pytest.raises(StackError, match=r"every write would fail -> pulumi config set memory <more>$"):
            config_change.preview(project.stack, partial(dict, changes))
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
    assert project.stack.configuration()["memory"] == "64mb"
    with project.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024**2)}
