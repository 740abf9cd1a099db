"""A TLS proxy for a server without TLS, such as that of the PyPI wheel."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.ports import HOST

LOCAL = "IP:127.0.0.1,DNS:localhost"


class Tls(NamedTuple):
    port: int
    ca: Path


def context(folder: Path, names: str = LOCAL, days: int = 30) -> ssl.SSLContext:
    """A server's context, whose self-signed certificate is in certificate.pem. days: negative for an expired one."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names.split(",")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


def _general(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)


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
    """What either side says, to the other."""
    with (
        contextlib.suppress(OSError),
        plain,
        server.wrap_socket(plain, server_side=True) as client,
        socket.create_connection((HOST, port)) as behind,
    ):
        while True:
            ready, _, _ = select.select([client, behind], [], [])
            for source, target in ((client, behind), (behind, client)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)
                    while source is client and client.pending():
                        behind.sendall(client.recv(65536))
