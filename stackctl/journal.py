"""The journal: the configuration change of a stack that has begun and is not complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from infra.drivers.files import write_private
from stackctl.state_backend import FOLDER


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class JournalEntry:
    """A change that has begun. command: as the operator gave it. changes: keys of the configuration.
    begun: UTC, ISO 8601.
    """

    command: str
    changes: Mapping[str, str]
    begun: str = field(default_factory=_now)

    def __str__(self) -> str:
        return f"`{self.command}` of {self.begun} was interrupted"


def read(root: Path, stack: str) -> JournalEntry | None:
    """The change of a command that did not end; None where there is none."""
    try:
        return JournalEntry(**json.loads(_record(root, stack).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(root: Path, stack: str, entry: JournalEntry | None) -> None:
    """Record a change before it begins, or that there is none."""
    if entry:
        (root / FOLDER).mkdir(mode=0o700, exist_ok=True)
        write_private(_record(root, stack), json.dumps(asdict(entry), indent=2) + "\n")
    else:
        _record(root, stack).unlink(missing_ok=True)


def _record(root: Path, stack: str) -> Path:
    return root / FOLDER / f"{stack}.journal.json"
