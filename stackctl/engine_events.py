"""Events of a Pulumi command, read from its event log (`--event-log`, which the Automation API reads too)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from infra.errors import PreflightError

ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
"""Enables the option in Pulumi."""

_CHANGE_PREFIXES = ("create", "update", "delete", "replace", "import")
"""Operations that change a resource, unlike `same`, `refresh` and `read`."""

_CONSEQUENCES = ("update failed", "destroy failed", "preview failed", "Resource monitor has terminated")
_CLASS = re.compile(r"^(?:infra|valkeykit)\.[\w.]+: ")
"""The class of one of this project's errors, before its message."""


@dataclass(frozen=True)
class UpdateEvents:
    """has_begun: a resource was being changed. errors: the causes, the first one first."""

    has_begun: bool
    errors: tuple[str, ...]


def parse(log: Iterable[str]) -> UpdateEvents:
    """The events of a log, line by line; none where the command ended before it wrote one."""
    begun, errors = set(), []
    for event in _complete(log):
        if "resourcePreEvent" in event:
            metadata = event["resourcePreEvent"]["metadata"]
            if metadata["op"].startswith(_CHANGE_PREFIXES) and _is_real(metadata["type"]):
                begun.add(metadata["urn"])
        diagnostic = event.get("diagnosticEvent", {})
        if diagnostic.get("severity") != "error":
            continue
        text = _cause(diagnostic["message"])
        if PreflightError.__name__ in diagnostic["message"]:
            begun.discard(diagnostic.get("urn"))
        if text and not text.startswith(_CONSEQUENCES):
            errors.append(text)
    return UpdateEvents(bool(begun), tuple(errors))


def _complete(log: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in log:
        try:
            yield json.loads(line)
        except ValueError:  # it was killed meanwhile
            return


def _is_real(kind: str) -> bool:
    """Whether it isn't a stack, a provider or a component, which exist in the state only."""
    return not kind.startswith(("pulumi:", "valkey:"))


def _cause(message: str) -> str:
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    is_traceback = any(line.startswith("Traceback") for line in lines)
    text = (lines[-1] if is_traceback else "\n".join(lines)) if lines else ""
    return _CLASS.sub("", text)
