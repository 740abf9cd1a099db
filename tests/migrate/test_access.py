"""TLS, users with few rights, and addresses that name a deployment rather than a node."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from valkeykit.errors import TlsError
from valkeykit_ops.migrate import endpoints
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.migration_server import MigrationServer

from harness import tls
from harness.ports import HOST, free_port
from harness.servers import Sentinels, ServerProcess
from tests.migrate import data, harness


class Encrypted(NamedTuple):
    """A Redis 7.0 with a TLS port that wants a password."""

    url: str
    ca: Path
    plain_port: int


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Encrypted]:
    folder = tmp_path / "certificates"
    tls.context(folder)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    with harness.started(
        tmp_path / "tls",
        "redis-7.0",
        *options,
        "--tls-ca-cert-file",
        str(certificate),
        "--tls-auth-clients",
        "no",
    ) as server:
        with data.raw(server.port) as client:
            client.acl_setuser(
                "mover", enabled=True, passwords=["+x"], categories=["+@all"], keys=["*"], channels=["*"]
            )
        yield Encrypted(f"rediss://mover:x@{HOST}:{port}/0", certificate, server.port)


def test_tls_at_the_source(encrypted: Encrypted, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with data.raw(encrypted.plain_port) as client:
        data.fill(client, random.Random(1), 100)
        done = harness.command("run", encrypted.url, new.url, "--source-ca", encrypted.ca, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert data.snapshot(client) == data.snapshot(theirs)


def test_a_client_certificate(encrypted: Encrypted, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with data.raw(encrypted.plain_port) as client:
        client.set("a", 1)
        client.config_set("tls-auth-clients", "yes")
    ca = encrypted.ca
    for url in (encrypted.url, encrypted.url.replace("mover:x@", "")):  # it is refused at the login, or at INFO
        with pytest.raises(TlsError, match="--source-cert and --source-key"):
            MigrationServer(endpoints.settings(url, endpoints.TlsFiles(ca)), role="source")
    own = ("--source-cert", ca, "--source-key", ca.with_name("key.pem"))
    done = harness.command("run", encrypted.url, new.url, "--source-ca", ca, *own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert theirs.get("a") == b"1"


def test_tls_at_the_target(encrypted: Encrypted, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    ca = ("--source-ca", encrypted.ca)
    assert harness.command("cut-over", encrypted.url, new.url, *ca, "--quiet", 0.1, cwd=tmp_path).returncode == 0
    data.fill(theirs, random.Random(2), 100)
    done = harness.command("reverse", encrypted.url, new.url, *ca, "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with data.raw(encrypted.plain_port) as client:
        assert data.snapshot(client) == data.snapshot(theirs)


def test_a_certificate_that_is_not_trusted(encrypted: Encrypted, new: ServerProcess, state: Path) -> None:
    with pytest.raises(TlsError):
        harness.migrate(encrypted.url, new.url, state)


def test_users_without_administration(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    """As managed services allow it: no CONFIG, no MONITOR, no CLIENT PAUSE."""
    for client in (ours, theirs):
        client.execute_command("ACL", "SETUSER", "mover", "reset", "on", ">x", "~*", "&*", "+@all", "-@admin")
    data.fill(ours, random.Random(3), 200)
    urls = [server.url.replace("redis://", "redis://mover:x@") for server in (old, new)]
    report = harness.migrate(urls[0], urls[1], state, CutOver(quiet=0.5))
    assert report.complete, report.record()
    assert report.cut_over
    assert data.snapshot(ours) == data.snapshot(theirs)


def test_a_deployment_with_sentinels(new: ServerProcess, theirs: Any, state: Path, tmp_path: Path) -> None:
    sentinels = Sentinels(tmp_path / "sentinels")
    try:
        sentinels.start()
        with data.raw(sentinels.primary.port) as client:
            client.set("a", 1)
        assert harness.migrate(sentinels.url, new.url, state).complete
        nodes = f"{HOST}:{sentinels.replica.port},{HOST}:{sentinels.primary.port}"
        with contextlib.closing(MigrationServer(endpoints.settings(f"valkey+replicated://{nodes}", None))) as side:
            assert [primary.node.port for primary in side.primaries()] == [sentinels.primary.port]
        with contextlib.closing(MigrationServer(endpoints.settings(sentinels.url, None))) as side:
            assert f"{HOST}:{sentinels.primary.port}" not in side.location, "the same one after a failover"
    finally:
        sentinels.kill()
    with contextlib.closing(theirs):
        assert theirs.get("a") == b"1"
