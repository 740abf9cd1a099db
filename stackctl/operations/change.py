"""A change of the configuration, made the same way by each command: warnings, the change, smoke tests."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from infra.settings.config_keys import SHELL_WORD
from stackctl import config_change, data_loss
from stackctl.config_change import PlanChange
from stackctl.errors import StackError
from stackctl.messages import show, show_dry_run
from stackctl.operations.smoke import run_tests
from stackctl.stack import Stack

_COMMANDS = {
    "memory": ("scale", "MEMORY"),
    "shards": ("scale", "SHARDS"),
    "replicas": ("scale", "REPLICAS"),
    "version": ("upgrade", "TO"),
}
"""The command and the variable that set a key of the configuration."""

_SET_KEY = re.compile(rf"pulumi config set ({'|'.join(_COMMANDS)}) ({SHELL_WORD})(?: --stack \S+)?")


def change(stack: Stack, plan: PlanChange, command: str, *, dry: bool) -> int:
    """Make a change; return the exit code of the smoke tests.

    Args:
        stack: the stack.
        plan: checks the change and returns its keys.
        command: as the operator typed it.
        dry: preview the change only.

    Raises:
        StackError: there is no such stack, a check failed, or Pulumi failed.
    """
    with _fixed_by_commands(stack):
        if dry:
            config_change.preview(stack, plan)
            show_dry_run()
            return 0
        show_state(stack)
        config_change.apply(stack, plan, command)
    return run_tests(stack.name)


def show_state(stack: Stack) -> None:
    """Report lost keys and an interrupted change, before a command that updates the stack."""
    if warning := data_loss.before_change(stack):
        show(f"warning: before this command, {warning}")
    if interrupted := config_change.interrupted(stack):
        show(f"note: {interrupted}; this command completes it")


@contextlib.contextmanager
def _fixed_by_commands(stack: Stack) -> Iterator[None]:
    """An error's fix names the command for a key of the configuration: this command has not set the key."""

    def command(match: re.Match[str]) -> str:
        return f"make {_COMMANDS[match[1]][0]} STACK={stack.name} {_COMMANDS[match[1]][1]}={match[2]}"

    try:
        yield
    except StackError as problem:
        problem.args = (_SET_KEY.sub(command, str(problem.args[0])),)
        problem.fix = _SET_KEY.sub(command, problem.fix)
        raise
