"""One command at a time changes a stack, and what it changes is on record until it is done.

The lock holds on this machine and ends with its process; across machines Pulumi's own lock holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from infra.local.files import write_private
from tools.backend import FOLDER
from tools.errors import ToolError


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """A change that has begun. command: as the operator gave it. changes: keys of the configuration.
    begun: UTC, ISO 8601.
    """

    command: str
    changes: Mapping[str, str]
    begun: str = field(default_factory=_now)

    def __str__(self) -> str:
        return f"`{self.command}` of {self.begun} was interrupted"


def read(root: Path, stack: str) -> Entry | None:
    """The change of a command that did not end; None where there is none."""
    try:
        return Entry(**json.loads(_record(root, stack).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(root: Path, stack: str, entry: Entry | None) -> None:
    """Record a change before it begins, or that there is none."""
    if entry:
        (root / FOLDER).mkdir(mode=0o700, exist_ok=True)
        write_private(_record(root, stack), json.dumps(asdict(entry), indent=2) + "\n")
    else:
        _record(root, stack).unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(root: Path, stack: str, command: str) -> Iterator[None]:
    """Keep other commands away from a stack.

    Raises:
        ToolError: one is at work.
    """
    path = root / FOLDER / f"{stack}.lock"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = _lock(path, stack, command)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path, stack: str, command: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 500).decode() or "another command"
            os.close(descriptor)
            raise ToolError(
                f"{holder} is changing the stack {stack}, so nothing was done", fix=f"wait for it, then {command}"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"`{command}` (process {os.getpid()}, since {_now()})".encode())
                return descriptor
        os.close(descriptor)  # its holder removed the file meanwhile


def _record(root: Path, stack: str) -> Path:
    return root / FOLDER / f"{stack}.journal.json"
