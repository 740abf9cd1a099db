"""A failure that a test asks the fake provider for, in the file of all resources."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ID = "fault"

ERROR = "Error code 13, message: an internal error has occurred"
"""Of an operation that fails after the request was accepted."""


def once(operation: str, kind: str) -> dict[str, Any]:
    """The entry that makes the next `create` or `update` of a type fail; Google has created what was to be created."""
    return {ID: {"kind": "fault", "inputs": {"operation": operation, "kind": kind}}}


def rejected(kind: str, error: str) -> dict[str, Any]:
    """The entry with which Google rejects every creation of a type."""
    return {f"rejected {kind}": {"kind": "fault", "inputs": {"error": error}}}


def check_rejected(kind: str, known: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: a test has Google reject this type.
    """
    if fault := known.get(f"rejected {kind}"):
        raise ValueError(fault["inputs"]["error"])


def quota(resources: Path) -> Path:
    """While this file exists, Google answers 429 to requests for an instance; it is empty until the first one."""
    return resources.with_suffix(".quota")


def wait_for_quota(resources: Path) -> None:
    """As the provider does: it repeats the request and reports nothing."""
    exhausted = quota(resources)
    while exhausted.exists():
        with contextlib.suppress(FileNotFoundError), exhausted.open("r+") as requests:
            requests.write("429")
        time.sleep(0.1)


def missing(network: str) -> dict[str, Any]:
    """The entry of a network that does not exist; all others do."""
    return {f"missing {network}": {"kind": "fault", "inputs": {}}}
