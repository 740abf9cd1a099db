"""Destruction of a stack, and of the files about it."""

from __future__ import annotations

import shlex
from pathlib import Path

from infra.outputs import CLOUDS
from stackctl import export, journal, keycounts, state_backend
from stackctl.messages import show
from stackctl.stack import Stack

_STAMP = "final-20260101T000000Z"
"""The beginning of a snapshot's name, the same for all nodes."""


def destroy(stack: Stack) -> None:
    """Destroy a stack, and print the final snapshot that embedded and docker leave.

    Raises:
        StackError: there is no such stack, or Pulumi failed.
    """
    configuration = stack.configuration()
    data = stack.root / (configuration.get("dataDir") or f"{state_backend.FOLDER}/{stack.name}")
    stack.down()
    export.forget(stack.root, stack.name)
    keycounts.forget(stack.root, stack.name)
    journal.write(stack.root, stack.name, None)
    if configuration.get("target") in CLOUDS:
        return  # a snapshot in this folder is of a server that the stack was before
    if files := _last_snapshot(data):
        show(f"The last snapshot: {', '.join(map(str, files))}")
    if [file.suffix for file in files] == [".rdb"]:
        command = f"pulumi config set restoreFrom {shlex.quote(str(files[0]))} --stack {stack.name}"
        show(f"The next stack starts from it: {command}")


def _last_snapshot(folder: Path) -> list[Path]:
    """The newest snapshot, or the files of each node that one `make down` left."""
    files = sorted(folder.glob("final-*"))
    return [file for file in files if file.name[: len(_STAMP)] == files[-1].name[: len(_STAMP)]]
