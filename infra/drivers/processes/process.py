"""Server processes: found by where they work, never by a number in a file alone.

A process id in a file may be another program's by now. What tells a server apart is its
program and its working folder, which the kernel knows; psutil checks both again, with the
time of its start, before a signal is sent.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from infra.drivers import binary
from infra.drivers.processes import logwriter
from infra.drivers.processes.folder import ServerFolder
from infra.errors import ProvisioningError

STOP_SECONDS = 120.0
"""How long a server may take to write its snapshot before it counts as stuck."""

_SERVERS = ("valkey-server", "redis-server")


def find(folder: ServerFolder) -> psutil.Process | None:
    """The server that works in the folder; None where there is none."""
    for process in itertools.chain(_named_in_file(folder), psutil.process_iter()):
        with contextlib.suppress(psutil.Error):  # it ended, is a zombie, or is somebody else's
            if process.name().startswith(_SERVERS) and _works_in(process, folder) and not _is_child(process):
                return process
    return None


def _named_in_file(folder: ServerFolder) -> Iterator[psutil.Process]:
    """Where to look first: whatever it is by now, it is checked like any other process."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        yield psutil.Process(int(folder.pid.read_text()))


def start(folder: ServerFolder, *overrides: str) -> psutil.Process:
    """Start the server in its folder, its log kept within a size. It outlives this process."""
    folder.data.mkdir(mode=0o700, exist_ok=True)
    folder.log.touch(mode=0o600)
    writer = _apart([sys.executable, logwriter.__file__, str(folder.log)], stdin=subprocess.PIPE)
    server = _apart(
        [str(binary.path()), f"../{folder.config.name}", *overrides],
        cwd=folder.data,
        stdout=writer.stdin,
        stderr=subprocess.STDOUT,
    )
    if writer.stdin is not None:
        writer.stdin.close()  # the server holds the only end now, so the writer ends with it
    _let_go(writer)
    return _let_go(server)


def has_log_writer(folder: ServerFolder) -> bool:
    """Whether a process still writes the server's output into its log."""
    command = [logwriter.__file__, str(folder.log)]
    return any((process.info["cmdline"] or [])[-2:] == command for process in psutil.process_iter(["cmdline"]))


def stop(process: psutil.Process) -> None:
    """SIGTERM, and wait until the data is on disk and the process is gone.

    Raises:
        ProvisioningError: it is still there after `STOP_SECONDS`; it is never killed.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.TimeoutExpired):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()  # repeated, as it is dropped while a first append-only file is being written
                process.wait(1.0)
            return
    raise ProvisioningError(
        f"valkey-server (pid {process.pid}) didn't stop within {STOP_SECONDS:.0f} s; "
        "it can't save its data, or stands still",
        fix=f"read the log beside {process.cwd()}; make room on the disk; kill -9 {process.pid} if it stays silent",
    )


def port(server: psutil.Process) -> int | None:
    """The port that the server listens on; None where it doesn't yet, or ended."""
    with contextlib.suppress(psutil.Error):
        listening = [c.laddr[1] for c in server.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
        return min(listening, default=None)  # that for the other nodes of a cluster is higher
    return None


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _apart(
    command: list[str],
    *,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """A session of its own, since Pulumi ends a provider with its whole process group; an empty environment,
    since Pulumi's holds the passphrase; and files that only their owner reads.
    """
    return subprocess.Popen(
        command, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True, umask=0o077, env={}
    )


def _let_go(child: subprocess.Popen[bytes]) -> psutil.Process:
    """It is meant to outlive this process, so Python shall neither wait for it nor warn of it."""
    process = psutil.Process(child.pid)
    child.returncode = 0
    return process


def _works_in(process: psutil.Process, folder: ServerFolder) -> bool:
    return Path(process.cwd()) == folder.data.resolve()


def _is_child(process: psutil.Process) -> bool:
    """True for the fork that writes a snapshot: its parent is the server."""
    parent = process.parent()
    return parent is not None and parent.name().startswith(_SERVERS) and parent.cwd() == process.cwd()
