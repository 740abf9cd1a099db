"""A change of a stack, the same way for each command: check, preview, record, write the configuration, update.

The configuration is as before wherever nothing was changed; where something was, the record stays, and the next
command goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools import journal
from tools.errors import ToolError, UpdateError
from tools.journal import Entry
from tools.stack import Stack

Plan = Callable[[], Mapping[str, str]]
"""Checks whether the change is possible, and returns the keys to set."""


def rehearse(stack: Stack, plan: Plan) -> None:
    """Check and preview a change. Nothing is changed, and the configuration stays as it is.

    Raises:
        ToolError: there is no such stack, or the change is refused.
    """
    with stack.trial(plan()) as configuration:
        stack.rehearse("--config-file", str(configuration))


def carry_out(stack: Stack, plan: Plan, command: str) -> bool:
    """Check and preview a change, then make it; True if anything changed.

    command: as the operator gave it.

    Raises:
        ToolError: there is no such stack, the change is refused, or Pulumi failed; the configuration is as before.
        UpdateError: with `has_begun`: a resource was being changed. `make up` goes on with it.
    """
    earlier = interrupted(stack)
    changes = plan()
    before = stack.read_configuration()
    with stack.trial(changes) as configuration:
        stack.rehearse("--config-file", str(configuration))
        if stack.read_configuration() != before:
            raise ToolError(
                f"the configuration of the stack {stack.name} was changed during the preview, so nothing was done",
                fix=command,
            )
        journal.write(stack.root, stack.name, Entry(command, changes))
        stack.write_configuration(configuration.read_text())
    try:
        return update(stack)
    except UpdateError as failure:
        if not failure.has_begun:
            stack.write_configuration(before)
            journal.write(stack.root, stack.name, earlier)
        raise


def update(stack: Stack) -> bool:
    """Bring a stack up to its configuration, with what an interrupted command wanted; True if anything changed.

    Raises:
        UpdateError: Pulumi failed.
    """
    changed = stack.up()
    journal.write(stack.root, stack.name, None)
    return changed


def interrupted(stack: Stack) -> Entry | None:
    """The change that an earlier command wrote into the configuration and did not complete; None where there is none,
    or where the configuration has been changed since.
    """
    entry = journal.read(stack.root, stack.name)
    if entry and stack.exists() and entry.changes.items() <= stack.configuration().items():
        return entry
    journal.write(stack.root, stack.name, None)
    return None
