"""A change of a stack's configuration: what its errors advise."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl import config_change
from stackctl.errors import StackError, UpdateError
from stackctl.operations.change import change
from stackctl.stack import Stack


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            UpdateError("it holds 50mb -> pulumi config set memory <more>", has_begun=False),
            "it holds 50mb -> make scale STACK=web MEMORY=<more>",
        ),
        (
            UpdateError("memory is 1kb -> pulumi config set memory 2gb --stack web", has_begun=False),
            "memory is 1kb -> make scale STACK=web MEMORY=2gb",
        ),
        (
            StackError("8.1.1 is older", fix="pulumi config set version 9.1, or another docker.image"),
            "8.1.1 is older -> make upgrade STACK=web TO=9.1, or another docker.image",
        ),
        (
            StackError("port 80 is taken", fix="pulumi config set port 81"),
            "port 80 is taken -> pulumi config set port 81",
        ),
    ],
)
def test_an_error_advises_the_command(
    problem: StackError, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise problem

    monkeypatch.setattr(config_change, "preview", fail)
    with pytest.raises(type(problem)) as error:
        change(Stack("web", {}, tmp_path, True), dict, "make scale STACK=web MEMORY=1mb", dry=True)
    assert str(error.value) == text
