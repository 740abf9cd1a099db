"""How a command runs: the lock on the stack that it changes, its errors and its exit code."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import typer
from valkeykit.errors import ValkeykitError

from stackctl import lock
from stackctl.messages import show
from stackctl.stack import PROJECT


def make_command(name: str, stack: str, **variables: str | bool) -> str:
    """The command as the operator types it, such as `make rotate STACK=web FINISH=1`.

    Args:
        name: of the command.
        stack: its name.
        variables: of make; True is 1, and variables without a value are left out.
    """
    values = {key: "1" if value is True else value for key, value in variables.items() if value}
    return " ".join(["make", name, f"STACK={stack}", *(f"{key}={shlex.quote(value)}" for key, value in values.items())])


@contextlib.contextmanager
def running(command: str, *, locked: str = "", reads: str = "") -> Iterator[None]:
    """Run a command: lock a stack against other commands, and turn an error into a message and exit code 1.

    Args:
        command: as the operator types it.
        locked: the name of the stack that it changes; "" for a command that changes none.
        reads: the name of the stack that it uses without a lock. An error says which command was changing it.
    """
    try:
        with lock.exclusive(PROJECT, locked, command) if locked else contextlib.nullcontext():
            yield
    except ValkeykitError as problem:
        show(f"error: {problem}")
        if holder := lock.holder(PROJECT, reads) if reads else "":
            show(f"note: {holder} is changing the stack {reads}")
    except OSError as problem:
        show(f"error: {problem.strerror}: {problem.filename or command}")
    except KeyboardInterrupt:
        show("interrupted; run the same command again to resume")
    else:
        return
    raise typer.Exit(1)
