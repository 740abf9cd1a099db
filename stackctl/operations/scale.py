"""Change of a stack's size."""

from __future__ import annotations

from collections.abc import Mapping

from stackctl.errors import StackError
from stackctl.operations.change import change
from stackctl.stack import Stack


def scale(stack: str, command: str, sizes: Mapping[str, str], *, dry: bool) -> int:
    """Change the size of a stack, given by name; return the exit code of the smoke tests.

    Args:
        stack: its name.
        command: as the operator typed it.
        sizes: keys of the configuration; "" keeps the current value.
        dry: preview the change only.

    Raises:
        StackError: there is no size or no such stack, or Pulumi failed.
    """
    changes = {key: value for key, value in sizes.items() if value}
    if not changes:
        raise StackError("MEMORY, SHARDS or REPLICAS is required", fix=f"make scale STACK={stack} MEMORY=1gb")
    return change(Stack.open(stack), lambda: changes, command, dry=dry)
