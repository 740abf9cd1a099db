"""A server of the embedded target: its logins, clients, process and keys."""

from __future__ import annotations

from pathlib import Path

import redis
from valkeykit.connection import connect
from valkeykit.url import Address

from infra import hardening
from infra.drivers.processes import ports, process
from infra.drivers.processes.running_server import ServerSpec

PASSWORDS = {user.name: f"{user.name}-password" for user in hardening.USERS}


def client_of(spec: ServerSpec, user: str = "admin") -> redis.Redis:
    port = ports.configured(spec.folder)
    return connect(Address(ports.HOST, port, username=user, password=PASSWORDS[user]).url, topology="single")


def pid_of(spec: ServerSpec) -> int:
    running = process.find(spec.folder)
    assert running is not None
    return running.pid


def write_keys(spec: ServerSpec, count: int = 1000) -> None:
    with client_of(spec) as client:
        for number in range(count):
            client.set(f"key:{number}", number)


def count_keys(spec: ServerSpec) -> int:
    with client_of(spec) as client:
        return int(client.dbsize())


def dump_of(spec: ServerSpec, path: Path) -> Path:
    """An RDB file of what the server holds."""
    with client_of(spec) as client:
        client.save()
    return spec.folder.snapshot.rename(path)
