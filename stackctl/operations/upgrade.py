"""Upgrade of a stack to another version of Valkey."""

from __future__ import annotations

from stackctl.errors import StackError
from stackctl.operations.change import change
from stackctl.stack import Stack


def upgrade(stack: str, command: str, version: str, *, dry: bool) -> int:
    """Upgrade a stack, given by name; return the exit code of the smoke tests.

    Raises:
        StackError: there is no version or no such stack, or Pulumi failed.
    """
    if not version:
        raise StackError("TO is required", fix=f"make upgrade STACK={stack} TO=9.1")
    return change(Stack.open(stack), lambda: {"version": version}, command, dry=dry)
