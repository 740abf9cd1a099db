"""Destruction of a stack: what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl import state_backend
from stackctl.operations.down import destroy
from stackctl.stack import Stack


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr(Stack, "configuration", lambda _: {"dataDir": "data"})
    monkeypatch.setattr(Stack, "down", lambda _: None)
    (tmp_path / state_backend.FOLDER).mkdir()
    (tmp_path / "data").mkdir()
    return Stack("web", {}, tmp_path, True)


def leave(stack: Stack, *names: str) -> str:
    for name in names:
        (stack.root / "data" / name).touch()
    return f"{stack.root}/data/"


def test_a_snapshot_can_be_the_start_of_a_stack(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    folder = leave(stack, "final-20261129T010000Z.rdb", "final-20261130T010000Z.rdb")
    destroy(stack)
    assert capsys.readouterr().err == (
        f"The last snapshot: {folder}final-20261130T010000Z.rdb\n"
        f"The next stack starts from it: pulumi config set restoreFrom {folder}final-20261130T010000Z.rdb --stack web\n"
    )


def test_the_files_of_several_nodes_are_named_without_a_command(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"final-20261130T010000Z-node-{number}.tar" for number in range(3)]
    folder = leave(stack, "final-20261129T010000Z.rdb", *names)
    destroy(stack)
    assert capsys.readouterr().err == f"The last snapshot: {', '.join(folder + name for name in names)}\n"


def test_a_stack_without_a_snapshot_leaves_no_message(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    destroy(stack)
    assert capsys.readouterr().err == ""


def test_an_earlier_server_s_snapshot_is_not_that_of_a_cloud_s_stack(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(stack, "final-20261130T010000Z.rdb")
    monkeypatch.setattr(Stack, "configuration", lambda _: {"dataDir": "data", "target": "gcp"})
    destroy(stack)
    assert capsys.readouterr().err == ""
