"""Heartbeat files: a worker writes one each second, and `valkeykit worker --check` reads them.

Nothing here needs redis-py, which takes longer to import than a probe may take.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STUCK_SECONDS = 60.0
"""Time without a heartbeat after which a worker is not live."""


def heartbeat_folder() -> Path:
    """The folder of this user's heartbeat files. It is fixed, so that worker and probe agree on it."""
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"valkeykit-workers-{os.getuid()}"  # noqa: S108  (checked before use)


def write_heartbeat(file: Path, state: dict[str, Any]) -> None:
    """Replace a heartbeat file.

    Raises:
        OSError: It can't be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.parent == heartbeat_folder() and not _is_own(file.parent):
        raise OSError(f"the folder {file.parent} belongs to another user or is writable by others")
    signs = {"written": time.monotonic(), "process_started": _process_started(os.getpid())}
    fresh = _fresh(file)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(state | signs, stream)
    fresh.replace(file)


def remove_heartbeat(file: Path) -> None:
    """Remove a heartbeat file, if it exists."""
    for path in (_fresh(file), file):
        with contextlib.suppress(OSError):
            path.unlink()


def read_heartbeat(file: Path) -> dict[str, Any] | None:
    """A worker's state as Health.as_dict has it; None if the file doesn't exist or its process has ended."""
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        pid, age = int(state["pid"]), time.monotonic() - float(state["written"])
        contact = state["seconds_since_contact"]
        is_fresh = 0 <= age < STUCK_SECONDS
        heartbeat = {
            "queue": str(state["queue"]),
            "pid": pid,
            "live": is_fresh and state["live"] is True,
            "ready": is_fresh and state["ready"] is True,
            "seconds_since_contact": None if contact is None else round(float(contact) + max(age, 0.0), 1),
        }
        return heartbeat if _is_running(pid, state.get("process_started")) else None
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return None


def heartbeats() -> Iterator[dict[str, Any]]:
    """The state of each worker process of this user on this machine; files of processes that have ended are removed."""
    folder = heartbeat_folder()
    if not _is_own(folder):
        return
    for file in sorted(folder.glob("*.json")):
        state = read_heartbeat(file)
        if state is None:
            _remove_if_old(file)
        else:
            yield state


def _fresh(file: Path) -> Path:
    return file.with_name(f".{file.name}.new")


def _is_own(folder: Path) -> bool:
    """Whether no one else can write to the folder: a symbolic link in it could point to any file of this user."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _is_running(pid: int, started: object) -> bool:
    """Whether the process still is the one that wrote the file. Process ids are reused, in a container at once."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _process_started(pid)
    return now is None or started is None or now == started


def _process_started(pid: int) -> str | None:
    """Start time of a process, in ticks since the boot; None without /proc."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return status.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _remove_if_old(file: Path) -> None:
    """Remove an old file. A new one may belong to a worker in another container that shares the folder."""
    with contextlib.suppress(OSError):
        if time.time() - file.stat().st_mtime > STUCK_SECONDS:
            file.unlink()
