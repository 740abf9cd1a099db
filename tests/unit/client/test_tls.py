"""TLS: chain and host name are checked. The bundled server has no TLS, so a TLS end stands before it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import valkeykit
from valkeykit import errors

from tests.servers import HOST, Server


class Tls(NamedTuple):
    port: int
    ca: Path


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", f"subjectAltName={name}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


@pytest.fixture(params=["IP:127.0.0.1,DNS:localhost"])
def tls(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> Iterator[Tls]:
    key, certificate = _certificate(tmp_path, request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server((HOST, 0))
    thread = threading.Thread(target=_serve, args=(listener, context, server.port), daemon=True)
    thread.start()
    yield Tls(listener.getsockname()[1], certificate)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            with contextlib.suppress(OSError):
                _forward(context.wrap_socket(plain, server_side=True), socket.create_connection((HOST, port)))


def _forward(client: ssl.SSLSocket, server: socket.socket) -> None:
    """One connection at a time is enough here: a request, then its answer."""
    with client, server, contextlib.suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)
            client.sendall(server.recv(65536))


def test_an_authority_by_path_or_text(tls: Tls) -> None:
    for ca in (tls.ca, str(tls.ca), tls.ca.read_text()):
        with closing(valkeykit.connect(f"rediss://localhost:{tls.port}", ca=ca, topology="single")) as client:
            assert client.ping()

    async def ping() -> object:
        client = await valkeykit.aconnect(f"valkeys://localhost:{tls.port}", ca=tls.ca, topology="single")
        try:
            return await client.ping()
        finally:
            await client.aclose()

    assert asyncio.run(ping())


def test_an_unknown_authority(tls: Tls) -> None:
    client = valkeykit.connect(f"rediss://localhost:{tls.port}", topology="single")
    with closing(client), pytest.raises(errors.TlsError, match="isn't trusted"), valkeykit.explained():
        client.ping()


@pytest.mark.parametrize("tls", ["DNS:elsewhere.example"], indirect=True)
def test_another_host_name(tls: Tls) -> None:
    client = valkeykit.connect(f"rediss://localhost:{tls.port}", ca=tls.ca, topology="single")
    with closing(client), pytest.raises(errors.TlsError, match="another host name"), valkeykit.explained():
        client.ping()


def test_a_plain_client_on_the_tls_port(tls: Tls) -> None:
    client = valkeykit.connect(f"redis://localhost:{tls.port}", read_timeout=0.5, topology="single")
    with closing(client), pytest.raises(errors.UnreachableError), valkeykit.explained():
        client.ping()


@pytest.mark.parametrize("text", ["", "not a certificate"])
def test_a_file_that_is_no_certificate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(text)
    with pytest.raises(errors.ConfigurationError, match="no PEM certificate"):
        valkeykit.connect("rediss://localhost:1", ca=path)
