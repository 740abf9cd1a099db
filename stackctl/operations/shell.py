"""The environment of `pulumi` commands by hand."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from stackctl import pulumi_cli, state_backend
from stackctl.stack import PROJECT


def exports() -> Iterator[str]:
    """Exports with which `pulumi` works on this project's stacks, a line each.

    Raises:
        StackError: there is no Pulumi CLI.
    """
    for name, value in state_backend.environment(PROJECT, pulumi_cli.find()).items():
        if os.environ.get(name) != value:
            yield f"export {name}={shlex.quote(value)}"
