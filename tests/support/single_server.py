"""A server of the embedded target: its logins, clients and process."""

from __future__ import annotations

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
