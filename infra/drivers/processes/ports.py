"""Ports of servers on this machine: on loopback only, and the same for the life of a server."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable

import psutil
from valkeykit.url import DEFAULT_PORT

from infra.drivers.processes.folder import ServerFolder
from infra.drivers.topology.cluster import BUS_OFFSET
from infra.errors import ProvisioningError

HOST = "127.0.0.1"

LAST_PORT = 65535


def candidates(folder: ServerFolder, port: int, *, has_bus: bool = False) -> Iterable[int]:
    """The given port, else the port in the server's configuration, else each free one from 6379.

    Raises:
        ProvisioningError: another program uses the port.
    """
    if kept := port or configured(folder):
        if (highest := max(_all(kept, has_bus=has_bus))) > LAST_PORT:
            raise ProvisioningError(
                f"port {highest} is required, but the highest port is {LAST_PORT}",
                fix="pulumi config set port <a lower one>",
            )
        for taken in (number for number in _all(kept, has_bus=has_bus) if not is_free(number)):
            raise ProvisioningError(
                f"port {taken} is in use by {holder(taken)}",
                fix="stop that program, or pulumi config set port <another>",
            )
        return [kept]
    numbers = range(DEFAULT_PORT, LAST_PORT + 1 - (BUS_OFFSET if has_bus else 0))
    return (number for number in numbers if all(map(is_free, _all(number, has_bus=has_bus))))


def _all(port: int, *, has_bus: bool) -> tuple[int, ...]:
    return (port, port + BUS_OFFSET) if has_bus else (port,)


def configured(folder: ServerFolder) -> int:
    """The port in the folder's valkey.conf; 0 without one."""
    if not folder.config.exists():
        return 0
    match = re.search(r"^port (\d+)$", folder.config.read_text(errors="replace"), re.MULTILINE)
    return int(match[1]) if match else 0


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """The program that listens on a port, such as `valkey-server (pid 4711)`."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"
