"""A TLS end before a server that has none, as the wheel's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers import HOST

LOCAL = "IP:127.0.0.1,DNS:localhost"


class Tls(NamedTuple):
    port: int
    ca: Path


def context(folder: Path, names: str = LOCAL, days: int = 30) -> ssl.SSLContext:
    """A server's context, whose certificate stands in certificate.pem, signed by itself."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", str(days), "-subj", "/CN=test", "-addext", f"subjectAltName={names}", "-keyout", key,
         "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


@contextlib.contextmanager
def end(folder: Path, port: int, server: ssl.SSLContext) -> Iterator[Tls]:
    """Answer in TLS for what listens on a port."""
    listener = socket.create_server((HOST, 0))
    thread = threading.Thread(target=_serve, args=(listener, server, port), daemon=True)
    thread.start()
    try:
        yield Tls(listener.getsockname()[1], folder / "certificate.pem")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _serve(listener: socket.socket, server: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_forward, args=(plain, server, port), daemon=True).start()


def _forward(plain: socket.socket, server: ssl.SSLContext, port: int) -> None:
    """A request, then its answer."""
    with (
        contextlib.suppress(OSError),
        plain,
        server.wrap_socket(plain, server_side=True) as client,
        socket.create_connection((HOST, port)) as behind,
    ):
        while data := client.recv(65536):
            behind.sendall(data)
            client.sendall(behind.recv(65536))
