"""Destruction of a stack, and of the files about it."""

from __future__ import annotations

import shlex

from stackctl import backend, export, journal, keycounts
from stackctl.messages import show
from stackctl.stack import Stack


def destroy(stack: Stack) -> None:
    """Destroy a stack; its last snapshot stays.

    Raises:
        StackError: there is no such stack, or Pulumi failed.
    """
    data = stack.root / (stack.configuration().get("dataDir") or f"{backend.FOLDER}/{stack.name}")
    stack.down()
    export.forget(stack.root, stack.name)
    keycounts.forget(stack.root, stack.name)
    journal.write(stack.root, stack.name, None)
    if snapshots := sorted(data.glob("final-*")):
        show(f"The last snapshot is {snapshots[-1]}. To start the next stack from it:")
        show(f"pulumi config set restoreFrom {shlex.quote(str(snapshots[-1]))} --stack {stack.name}")
