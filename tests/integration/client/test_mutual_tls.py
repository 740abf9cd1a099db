"""Client certificates, and certificates that are replaced while a process runs."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import valkeykit
from valkeykit import AsyncCache, Cache, errors
from valkeykit.settings import resolve_settings
from valkeykit.trust import Trust

from harness import servers
from harness import tls as tls_end
from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import wait_until


class Demanding(NamedTuple):
    """A TLS server that requires a client certificate. client: the folder of one that it accepts."""

    url: str
    ca: Path
    client: Path
    server: ssl.SSLContext

    @property
    def identity(self) -> dict[str, Any]:
        return {"ca": self.ca, "certificate": self.client / "certificate.pem", "key": self.client / "key.pem"}


@pytest.fixture
def demanding(tmp_path: Path, server: ServerProcess) -> Iterator[Demanding]:
    tls_end.context(tmp_path / "client")
    context = tls_end.context(tmp_path / "server")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "client" / "certificate.pem")
    with tls_end.end(tmp_path / "server", server.port, context) as end:
        yield Demanding(f"rediss://localhost:{end.port}", end.ca, tmp_path / "client", context)


def _works(url: str, **given: Any) -> None:
    options: Any = {"topology": "single", "connect_timeout": 30.0, "read_timeout": 30.0} | given
    with closing(valkeykit.connect(url, **options)) as client:
        assert client.ping()

    async def ping() -> None:
        client = await valkeykit.aconnect(url, **options)
        assert await client.ping()
        await client.aclose()

    asyncio.run(ping())


def test_a_certificate_by_path_or_text(demanding: Demanding) -> None:
    _works(demanding.url, **demanding.identity)
    texts = {name: path.read_text() for name, path in demanding.identity.items()}
    _works(demanding.url, **texts)
    both = demanding.client / "both.pem"
    both.write_text(texts["certificate"] + texts["key"])
    _works(demanding.url, ca=demanding.ca, certificate=both)
    query = f"ssl_ca_certs={demanding.ca}&ssl_certfile={both}&ssl_keyfile={demanding.client / 'key.pem'}"
    _works(f"{demanding.url}?{query}")
    with Cache(demanding.url, topology="single", connect_timeout=30, read_timeout=30, **demanding.identity) as cache:
        assert cache.set("a", 1)


def test_a_certificate_of_the_environment(demanding: Demanding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_URL", demanding.url)
    for name, path in demanding.identity.items():
        monkeypatch.setenv(f"VALKEY_{name.upper()}", str(path))
    with closing(valkeykit.connect(topology="single", connect_timeout=30)) as client:
        assert client.ping()


def test_a_server_that_requires_one_is_explained(demanding: Demanding) -> None:
    client = valkeykit.connect(demanding.url, ca=demanding.ca, topology="single", connect_timeout=30)
    with (
        closing(client),
        pytest.raises(errors.TlsError, match=r"client certificate.*certificate=…, key=…"),
        valkeykit.translate_errors(),
    ):
        client.ping()


def test_a_cluster_and_a_replicated_pair_with_client_certificates(tmp_path: Path, demanding: Demanding) -> None:
    """The nodes announce a host and the port of their TLS end."""
    with (
        servers.running(tmp_path / "node", "--cluster-enabled", "yes") as node,
        tls_end.end(tmp_path / "server", node.port, demanding.server) as end,
        closing(node.client()) as admin,
    ):
        admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        admin.config_set("cluster-announce-port", str(end.port))
        admin.config_set("cluster-announce-ip", HOST)
        options = {"read_timeout": 30.0, "connect_timeout": 30.0, **demanding.identity}
        with closing(valkeykit.connect(f"valkeys+cluster://{HOST}:{end.port}", client_name="c", **options)) as client:
            wait_until(lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok", problem="no cluster")
            assert client.set("a", 1)
        assert asyncio.run(_set(f"valkeys+cluster://{HOST}:{end.port}", **options))
    url = demanding.url.replace("rediss://", "valkeys+replicated://")
    _works(url, topology="replicated", **demanding.identity)


async def _set(url: str, **options: Any) -> bool:
    async with AsyncCache(url, **options) as cache:
        return await cache.set("a", 1)


def test_replaced_files_are_read_at_the_next_connect(tmp_path: Path, server: ServerProcess) -> None:
    """The server gets another certificate, then the client's file the new authority."""
    first, second, ca = tmp_path / "1", tmp_path / "2", tmp_path / "ca.pem"
    context = tls_end.context(first)
    tls_end.context(second)
    shutil.copy(first / "certificate.pem", ca)
    with tls_end.end(first, server.port, context) as end:
        options: Any = {"ca": ca, "topology": "single", "connect_timeout": 30.0, "read_timeout": 30.0}
        with closing(valkeykit.connect(f"rediss://localhost:{end.port}", **options)) as client:
            assert client.ping()
            context.load_cert_chain(second / "certificate.pem", second / "key.pem")
            client.connection_pool.disconnect()
            with pytest.raises(errors.TlsError), valkeykit.translate_errors():
                client.ping()
            shutil.copy(second / "certificate.pem", ca)
            assert client.ping()

            async def main() -> None:
                context.load_cert_chain(first / "certificate.pem", first / "key.pem")
                client = await valkeykit.aconnect(f"rediss://localhost:{end.port}", **options)
                with pytest.raises(errors.TlsError), valkeykit.translate_errors():
                    await client.ping()
                shutil.copy(first / "certificate.pem", ca)
                assert await client.ping()
                context.load_cert_chain(second / "certificate.pem", second / "key.pem")
                shutil.copy(second / "certificate.pem", ca)
                await client.connection_pool.disconnect()
                assert await client.ping()
                await client.aclose()

            asyncio.run(main())


def test_a_file_that_is_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    tls_end.context(tmp_path)
    ca = tmp_path / "certificate.pem"
    trust = Trust(ca, ca, tmp_path / "key.pem")
    context = trust.context()
    assert trust.context() is context
    text = ca.read_text()
    for broken in (None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        ca.unlink(missing_ok=True)
        if broken is not None:
            ca.write_text(broken)
        assert trust.context() is context
    ca.write_text(text)
    assert trust.context() is not context


def test_what_cant_be_a_certificate_or_its_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tls_end.context(tmp_path / name)
    certificate, key = tmp_path / "a" / "certificate.pem", tmp_path / "a" / "key.pem"
    encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    for options, text in (
        ({"certificate": certificate}, "certificate is given without key"),
        ({"key": key}, "key is given without certificate"),
        ({"certificate": certificate, "key": tmp_path / "none.pem"}, r"key: can't read '.*none\.pem'"),
        ({"certificate": key, "key": key}, "certificate: .* holds no PEM certificate"),
        ({"certificate": certificate, "key": certificate}, "key: .* holds no PEM private key"),
        ({"certificate": certificate, "key": tmp_path / "b" / "key.pem"}, "don't belong together"),
        ({"certificate": certificate, "key": encrypted}, "key: the text is encrypted"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nx", "key": key}, "PEM is damaged"),
    ):
        with pytest.raises(errors.ConfigurationError, match=text):
            resolve_settings("rediss://localhost", **options)
    with pytest.raises(errors.ConfigurationError, match="need TLS"):
        resolve_settings("redis://localhost", certificate=certificate, key=key)
    body = key.read_text().splitlines()[1]
    settings = resolve_settings("rediss://localhost", certificate=certificate.read_text(), key=key.read_text())
    assert body not in f"{settings!r}{settings.trust!r}{vars(settings.trust)!r}"


def test_an_authority_that_is_damaged_is_explained() -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    client = valkeykit.connect("rediss://localhost:1", ca=text, topology="single")
    with (
        closing(client),
        pytest.raises(errors.ConfigurationError, match="ca: the PEM certificate is damaged"),
        valkeykit.translate_errors(),
    ):
        client.ping()

    async def main() -> None:
        client = await valkeykit.aconnect("rediss://localhost:1", ca=text, topology="single")
        with pytest.raises(errors.ConfigurationError, match="damaged"), valkeykit.translate_errors():
            await client.ping()
        await client.aclose()

    asyncio.run(main())
