"""Servers behind endpoints: with a user, a replica, TLS or an endless script."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness import tls as tls_end
from harness.ports import HOST
from harness.servers import ServerProcess, running
from harness.waiting import wait_until

MEMORY_LIMIT = ("--maxmemory", "300mb")


def user(rule: str) -> tuple[str, ...]:
    """The server's options for a user."""
    return ("--user", *rule.split())


@contextlib.contextmanager
def replicated_pair(folder: Path, *options: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A primary, and a replica with options that follows it."""
    with (
        running(folder / "primary", *MEMORY_LIMIT, "--repl-diskless-sync-delay", "0") as primary,
        running(folder / "replica", *MEMORY_LIMIT, "--replicaof", f"{HOST} {primary.port}", *options) as replica,
        closing(replica.client()) as client,
    ):
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield primary, replica


@contextlib.contextmanager
def endless_script(folder: Path, *options: str) -> Iterator[ServerProcess]:
    """A server with an endless script."""
    with (
        running(folder, *MEMORY_LIMIT, *options) as server,
        socket.create_connection((HOST, server.port)) as connection,
    ):
        connection.sendall(b'EVAL "while true do end" 0\r\n')
        time.sleep(0.3)
        yield server


@contextlib.contextmanager
def tls(folder: Path, *options: str, names: str = tls_end.LOCAL) -> Iterator[tls_end.Tls]:
    """A TLS proxy in front of a server."""
    with running(folder / "server", *MEMORY_LIMIT, *options) as server:
        context = tls_end.context(folder, names)
        with tls_end.end(folder, server.port, context) as end:
            yield end
