"""Destruction of a stack, and of the files about it."""

from __future__ import annotations

from stackctl import backend, export, journal, keycounts
from stackctl.messages import show
from stackctl.stack import Stack


def destroy(stack: Stack) -> None:
    """Destroy a stack; its last snapshot stays.

    Raises:
        StackError: there is no such stack, or Pulumi failed.
    """
    stack.down()
    export.forget(stack.root, stack.name)
    keycounts.forget(stack.root, stack.name)
    journal.write(stack.root, stack.name, None)
    snapshots = sorted((stack.root / backend.FOLDER / stack.name).glob("final-*"))
    if snapshots:
        show(f"the last snapshot: {snapshots[-1]}\na new stack can start from it: pulumi config set restoreFrom <file>")
