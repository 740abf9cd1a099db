"""The stack lock: one command at a time changes a stack.

It covers this machine; Pulumi's own lock covers other machines. It ends with the last process that has it: Pulumi and
its plugins inherit it, since they outlive a killed command and keep running.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import psutil

from stackctl.errors import StackError
from stackctl.state_backend import FOLDER

EXIT_TIMEOUT_SECONDS = 5.0
"""How long a process may take to end."""

LOCK_RETRY_INTERVAL_SECONDS = 0.05

_OWNER = re.compile(r"^lock:.* FLOCK .* (\d+) \S+ \d+ EOF$", re.MULTILINE)

inherited: set[int] = set()
"""Descriptors that Pulumi inherits."""


@contextlib.contextmanager
def exclusive(root: Path, stack: str, command: str) -> Iterator[None]:
    """Lock a stack against other commands; processes that a killed command left running are ended first.

    Raises:
        StackError: another command is running.
    """
    path = root / FOLDER / f"{stack}.lock"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = _lock(path, stack, command)
    inherited.add(descriptor)
    try:
        yield
    finally:
        inherited.discard(descriptor)
        path.unlink(missing_ok=True)
        os.close(descriptor)


def holder(root: Path, stack: str) -> str:
    """The command that is changing a stack now, with its process and time; "" if there is none."""
    with contextlib.suppress(FileNotFoundError):
        pid, _, description = (root / FOLDER / f"{stack}.lock").read_text().partition(" ")
        if pid.isdigit() and _is_alive(int(pid)):
            return description
    return ""


def _lock(path: Path, stack: str, command: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, holder = os.read(descriptor, 500).decode().partition(" ")
            is_dead = pid.isdigit() and not _is_alive(int(pid))
            orphans = _orphans(descriptor) if is_dead else []
            os.close(descriptor)
            if is_dead:
                _end(orphans)
                time.sleep(LOCK_RETRY_INTERVAL_SECONDS)
                continue
            raise StackError(
                f"{holder or 'another command'} is changing the stack {stack}, so nothing was changed",
                fix=f"wait for it, then {command}",
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} `{command}` (process {os.getpid()}, since {now})".encode(), 0)
                return descriptor
        os.close(descriptor)  # its holder removed the file meanwhile


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _orphans(descriptor: int) -> list[psutil.Process]:
    """Other processes that have inherited the lock of a command that is dead.

    A command that is waiting for the lock has the file open too, but not its lock.
    """
    file = os.fstat(descriptor)
    orphans = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            entries = Path(f"/proc/{process.pid}/fd").iterdir()
            files = [entry.name for entry in entries if os.path.samestat(entry.stat(), file)]
            if any(_is_inherited(Path(f"/proc/{process.pid}/fdinfo/{name}")) for name in files):
                orphans.append(process)
    return orphans


def _is_inherited(information: Path) -> bool:
    """Whether an open file has a lock, taken by a process that is dead; its number is 0 once it is reaped."""
    owner = _OWNER.search(information.read_text())
    return owner is not None and not (int(owner[1]) and _is_alive(int(owner[1])))


def _end(orphans: list[psutil.Process]) -> None:
    """With the docker commands that they wait for; servers of theirs stay."""
    for orphan in orphans:
        with contextlib.suppress(psutil.Error):
            clients = [child for child in orphan.children(recursive=True) if child.name().startswith("docker")]
            for process in (orphan, *clients):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
    psutil.wait_procs(orphans, EXIT_TIMEOUT_SECONDS)
