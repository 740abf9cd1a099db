"""Configuration changes, the same way for each command: check, preview, record, write the configuration, update.

If a change fails before it changes a resource, the configuration is restored. If it fails later, the record stays, and
the next command resumes the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stackctl import journal
from stackctl.errors import StackError, UpdateError
from stackctl.journal import JournalEntry
from stackctl.messages import show
from stackctl.stack import Stack

PlanChange = Callable[[], Mapping[str, str]]
"""Checks that the change is possible, and returns the keys to set."""


def preview(stack: Stack, plan: PlanChange) -> None:
    """Check and preview a change. Nothing changes, and neither does the configuration.

    Raises:
        StackError: there is no such stack, or a check failed.
    """
    with stack.changed_configuration(plan()) as configuration:
        stack.dry_run("--config-file", str(configuration))


def apply(stack: Stack, plan: PlanChange, command: str) -> bool:
    """Check and preview a change, then make it; True if anything changed.

    command: as the operator gave it.

    Raises:
        StackError: there is no such stack, a check failed, or Pulumi failed; the configuration is unchanged.
        UpdateError: with `has_begun`: a resource was being changed. `make up` resumes it.
    """
    earlier = interrupted(stack)
    changes = plan()
    before = stack.read_configuration()
    with stack.changed_configuration(changes) as configuration:
        stack.check("--config-file", str(configuration))
        if stack.read_configuration() != before:
            raise StackError(
                f"the configuration of the stack {stack.name} was changed during the preview, so nothing was changed",
                fix=command,
            )
        journal.write(stack.root, stack.name, JournalEntry(command, changes))
        stack.write_configuration(configuration.read_text())
    try:
        return update(stack)
    except UpdateError as failure:
        if not failure.has_begun:
            stack.write_configuration(before)
            journal.write(stack.root, stack.name, earlier)
        raise


def update(stack: Stack) -> bool:
    """Update a stack to its configuration, and complete an interrupted change; True if anything changed.

    Raises:
        UpdateError: Pulumi failed; the same command resumes.
    """
    changed = stack.up()
    while left := stack.pending_updates():
        show(f"{len(left)} of the updates left: {'; then '.join(left)}")
        stack.up()
        if len(stack.pending_updates()) >= len(left):
            raise UpdateError(f"the update of {left[0]} had no effect", fix="pulumi up --refresh", has_begun=True)
    journal.write(stack.root, stack.name, None)
    return changed


def interrupted(stack: Stack) -> JournalEntry | None:
    """The change that an earlier command wrote into the configuration and did not complete.

    None where there is none, or where the configuration has been changed since.
    """
    entry = journal.read(stack.root, stack.name)
    if entry and stack.exists() and entry.changes.items() <= stack.configuration().items():
        return entry
    journal.write(stack.root, stack.name, None)
    return None
