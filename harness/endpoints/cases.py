"""Endpoints as an operator names them, their tables, and endpoints that are not servers."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from valkeykit_ops.doctor import examination, target
from valkeykit_ops.doctor.finding import DoctorReport

from harness.ports import HOST


@dataclass(frozen=True)
class EndpointCase:
    """An endpoint as an operator names it."""

    url: str
    ca: Path | None = None
    workload: str | None = None

    def examine(self, variables: Mapping[str, str] | None = None) -> DoctorReport:
        """Examine it, or with variables what they name."""
        if not variables:
            return examination.examine(target.of_url(self.url, self.ca, self.workload))
        with mock.patch.dict(os.environ, variables):
            return examination.examine(target.of_url(None, self.ca, self.workload))


OpenEndpoint = Callable[[Path], contextlib.AbstractContextManager[EndpointCase]]
"""Starts an endpoint in a folder."""


def registrar(
    endpoints: dict[str, OpenEndpoint],
) -> Callable[[str], Callable[[Callable[[Path], Iterator[EndpointCase]]], OpenEndpoint]]:
    """A decorator that adds endpoints to a table.

    The name is that of the expected finding, with a suffix after a colon if it has several endpoints.
    """

    def named(name: str) -> Callable[[Callable[[Path], Iterator[EndpointCase]]], OpenEndpoint]:
        def register(function: Callable[[Path], Iterator[EndpointCase]]) -> OpenEndpoint:
            endpoints[name] = contextlib.contextmanager(function)
            return endpoints[name]

        return register

    return named


def finding_of(endpoint_name: str) -> str:
    """The name of the finding."""
    return endpoint_name.partition(":")[0]


Conversation = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(talk: Conversation) -> Iterator[int]:
    """A port that serves each connection in a thread of its own."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk_and_close, args=(connection,), daemon=True).start()

    def talk_and_close(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def memcached(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        connection.sendall(b"ERROR\r\n" * data.count(b"\r\n"))


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def protected(connection: socket.socket) -> None:
    connection.sendall(b"-DENIED Running in protected mode because protected mode is enabled.\r\n")
    connection.recv(4096)


def byte_a_second(connection: socket.socket) -> None:
    connection.recv(4096)
    for byte in b"+PONG with a long tail\r\n":
        connection.sendall(bytes([byte]))
        time.sleep(0.5)


@contextlib.contextmanager
def http_server() -> Iterator[int]:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer((HOST, 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(5)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port with a full backlog: the kernel drops new connections."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((HOST, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((HOST, port))
        time.sleep(0.1)
        yield port
