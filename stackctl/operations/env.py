"""A stack's variables, written to a file for an application."""

from __future__ import annotations

from pathlib import Path

from infra.outputs import ENV
from stackctl import export
from stackctl.stack import Stack


def write_variables(stack: Stack, form: str, out: Path | None) -> Path:
    """Write the variables; return the file's path.

    Args:
        stack: the stack.
        form: a key of `export.FORMATS`.
        out: the file; None for the usual one.

    Raises:
        StackError: there is no such stack, it isn't up, the format is unknown, or the folder doesn't exist.
    """
    return export.write(stack.root, stack.name, stack.outputs()[ENV], form, out)
