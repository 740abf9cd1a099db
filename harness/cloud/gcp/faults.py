"""A failure that a test asks the fake provider for, in the file of all resources."""

from __future__ import annotations

from typing import Any

ID = "fault"

ERROR = "Error code 13, message: an internal error has occurred"
"""Of an operation that fails after the request was accepted."""


def once(operation: str, kind: str) -> dict[str, Any]:
    """The entry that makes the next `create` or `update` of a type fail; Google has created what was to be created."""
    return {ID: {"kind": "fault", "inputs": {"operation": operation, "kind": kind}}}
