"""A stack's variables, written to a file for an application."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from infra.outputs import ENV
from stackctl import export
from stackctl.errors import StackError
from stackctl.stack import Stack

_PASSED_ON = ("JOB_CONCURRENCY", "USE_VALKEY_QUEUE", "DISABLE_REDIS")
"""Variables of valkeykit that no stack has; those of the caller's environment are written too."""


def write_variables(stack: Stack, form: str, out: Path | None, *, only_valkey_url: bool = False) -> Path:
    """Write the variables; return the file's path.

    Args:
        stack: the stack.
        form: a key of `export.FORMATS`.
        out: the file; None for the usual one.
        only_valkey_url: leave REDIS_URL out, which may be another server's.

    Raises:
        StackError: there is no such stack, it isn't up, the format is unknown, the folder doesn't exist, or a variable
            that is passed on has a value that it can't have.
    """
    variables = stack.outputs()[ENV] | _passed_on(os.environ)
    if only_valkey_url:
        del variables["REDIS_URL"]
    return export.write(stack.root, stack.name, variables, form, out)


def _passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    variables = {name: value for name in _PASSED_ON if (value := environment.get(name, "").strip())}
    for name, value in variables.items():
        if not value.isalnum():
            raise StackError(f"{name} is {value!r}, expected a number, true or false", fix=f"unset {name}")
    return variables
