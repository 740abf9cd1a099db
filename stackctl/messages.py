"""Messages for the operator, on stderr; stdout has only results."""

from __future__ import annotations

import os
import sys


def is_verbose() -> bool:
    """Whether VERBOSE is set, so that everything is printed that Pulumi and the smoke tests print."""
    return os.environ.get("VERBOSE", "") not in {"", "0"}


def show(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def show_dry_run() -> None:
    show("Dry run: nothing was changed. Run the same command without DRY=1 to apply it.")
