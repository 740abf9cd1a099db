"""TLS: chain and host name are checked. The bundled server has no TLS, so a TLS proxy is in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import valkeykit
from valkeykit import errors

from harness import tls as tls_end
from harness.servers import ServerProcess
from harness.tls import Tls


@pytest.fixture(params=[tls_end.LOCAL])
def tls(request: pytest.FixtureRequest, tmp_path: Path, server: ServerProcess) -> Iterator[Tls]:
    with tls_end.end(tmp_path, server.port, tls_end.context(tmp_path, request.param)) as answering:
        yield answering


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
    with closing(client), pytest.raises(errors.TlsError, match="untrusted authority"), valkeykit.translate_errors():
        client.ping()


@pytest.mark.parametrize("tls", ["DNS:elsewhere.example"], indirect=True)
def test_another_host_name(tls: Tls) -> None:
    client = valkeykit.connect(f"rediss://localhost:{tls.port}", ca=tls.ca, topology="single")
    with closing(client), pytest.raises(errors.TlsError, match="another host name"), valkeykit.translate_errors():
        client.ping()


def test_a_plain_client_on_the_tls_port(tls: Tls) -> None:
    client = valkeykit.connect(f"redis://localhost:{tls.port}", read_timeout=0.5, topology="single")
    with closing(client), pytest.raises(errors.UnreachableError), valkeykit.translate_errors():
        client.ping()


@pytest.mark.parametrize("text", ["", "not a certificate"])
def test_a_file_that_is_no_certificate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(text)
    with pytest.raises(errors.ConfigurationError, match="no PEM certificate"):
        valkeykit.connect("rediss://localhost:1", ca=path)
