"""Server processes: find, start and stop them.

A process id in a file may belong to another program by now. So a server is identified by its program and its working
folder, which the kernel reports; psutil checks the start time again before it sends a signal.
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

STOP_TIMEOUT_SECONDS = 120.0
"""How long a server may take to write its snapshot."""

_SERVERS = ("valkey-server", "redis-server")


def find(folder: ServerFolder) -> psutil.Process | None:
    """The server that runs in the folder; None without one."""
    for process in itertools.chain(_of_pid_file(folder), psutil.process_iter()):
        with contextlib.suppress(psutil.Error):  # it has ended, is a zombie, or belongs to another user
            if process.name().startswith(_SERVERS) and _works_in(process, folder) and not _is_child(process):
                return process
    return None


def _of_pid_file(folder: ServerFolder) -> Iterator[psutil.Process]:
    """The process of the pid file, which is checked like any other process."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        yield psutil.Process(int(folder.pid.read_text()))


def start(folder: ServerFolder, *overrides: str) -> psutil.Process:
    """Start the server in its folder, with a log of limited size. It outlives this process."""
    folder.data.mkdir(mode=0o700, exist_ok=True)
    folder.log.touch(mode=0o600)
    writer = _start_detached([sys.executable, logwriter.__file__, str(folder.log)], stdin=subprocess.PIPE)
    server = _start_detached(
        [str(binary.path()), f"../{folder.config.name}", *overrides],
        cwd=folder.data,
        stdout=writer.stdin,
        stderr=subprocess.STDOUT,
    )
    if writer.stdin is not None:
        writer.stdin.close()  # the server has the only end now, so the writer ends with it
    _forget_child(writer)
    return _forget_child(server)


def has_log_writer(folder: ServerFolder) -> bool:
    """Whether the server's log writer still runs."""
    command = [logwriter.__file__, str(folder.log)]
    return any((process.info["cmdline"] or [])[-2:] == command for process in psutil.process_iter(["cmdline"]))


def stop(process: psutil.Process) -> None:
    """Terminate a server, and wait until its data is on disk and it has ended.

    Raises:
        ProvisioningError: it still runs after `STOP_TIMEOUT_SECONDS`; it is never killed.
    """
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.TimeoutExpired):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()  # repeated, as it is dropped while a first append-only file is being written
                process.wait(1.0)
            return
    raise ProvisioningError(
        f"valkey-server (pid {process.pid}) didn't stop within {STOP_TIMEOUT_SECONDS:.0f} s: "
        "it can't save its data, or hangs",
        fix=f"read its log next to {process.cwd()}; free space on the disk; kill -9 {process.pid} if it hangs",
    )


def port(server: psutil.Process) -> int | None:
    """The port that the server listens on; None if it doesn't listen yet, or has ended."""
    with contextlib.suppress(psutil.Error):
        listening = [c.laddr[1] for c in server.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
        return min(listening, default=None)  # the cluster bus port is higher
    return None


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _start_detached(
    command: list[str],
    *,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, since Pulumi ends a provider with its process group; with an empty
    environment, since Pulumi's has the passphrase; and with files that only their owner can read.
    """
    return subprocess.Popen(
        command, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True, umask=0o077, env={}
    )


def _forget_child(child: subprocess.Popen[bytes]) -> psutil.Process:
    """Make Python neither wait for a child that outlives this process nor warn about it."""
    process = psutil.Process(child.pid)
    child.returncode = 0
    return process


def _works_in(process: psutil.Process, folder: ServerFolder) -> bool:
    return Path(process.cwd()) == folder.data.resolve()


def _is_child(process: psutil.Process) -> bool:
    """Whether it is a fork that writes a snapshot."""
    parent = process.parent()
    return parent is not None and parent.name().startswith(_SERVERS) and parent.cwd() == process.cwd()
