"""A change of a stack's configuration: rehearsed first, and kept only where the program takes it."""

from __future__ import annotations

from collections.abc import Mapping

from tools.stack import Stack


def rehearse(stack: Stack, changes: Mapping[str, str]) -> None:
    """Show what Pulumi would do with the changes. Nothing is touched, the configuration neither.

    Raises:
        ToolError: there is no such stack, or the program refuses; it has said why.
    """
    with stack.trial(changes) as configuration:
        stack.rehearse("--config-file", str(configuration))


def carry_out(stack: Stack, changes: Mapping[str, str]) -> bool:
    """Rehearse the changes, keep them, and bring the stack up to them; True if anything changed.

    Killed in between, `make up` goes on with it.

    Raises:
        ToolError: there is no such stack, the program refuses, or Pulumi failed.
    """
    rehearse(stack, changes)
    stack.configure(changes)
    return stack.up()
