"""A private registry: its login is used for the pull alone, and stays nowhere."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.docker import IMAGE, NEW
from harness.ports import free_port
from harness.waiting import wait_until
from infra.drivers.docker import images
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.images import ImageSource
from infra.errors import ProvisioningError

PROGRAM = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "valkey-pulumi/registry/usr/bin/docker-registry"
)
USER, PASSWORD = "deploy", "secret"
HASHED = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"  # bcrypt


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    (tmp_path / "users").write_text(f"{USER}:{HASHED}\n")
    (tmp_path / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/images}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/users}}}}\n"
    )
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([str(PROGRAM), "serve", str(tmp_path / "config.yml")], stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port))
        yield f"127.0.0.1:{port}/team/valkey:{NEW}"
    finally:
        server.terminate()
        server.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def push(reference: str, folder: Path) -> str:
    """Put the image there, and return its digest."""
    engine = Engine()
    login = folder / "login"
    login.mkdir()
    engine.docker("tag", f"{IMAGE}:{NEW}", reference)
    registry = reference.partition("/")[0]
    engine.docker("login", "--username", USER, "--password-stdin", registry, stdin=PASSWORD.encode(), config=str(login))
    engine.docker("push", "--quiet", reference, config=str(login))
    (facts,) = engine.inspect("image", reference)
    digest = str(facts["RepoDigests"][0]).partition("@")[2]
    engine.docker("rmi", reference)
    return digest


def test_pulls_with_a_login_and_a_digest(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push(registry, tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    engine = Engine()
    with pytest.raises(ProvisioningError, match=r"(?i)no basic auth|unauthorized"):
        images.ensure(engine, ImageSource(registry))
    with pytest.raises(ProvisioningError, match=r"(?i)unauthorized"):
        images.ensure(engine, ImageSource(registry, user=USER, password="wrong"))
    with pytest.raises(ProvisioningError, match=r"(?i)manifest unknown|not found"):
        images.ensure(engine, ImageSource(registry, digest=f"sha256:{'0' * 64}", user=USER, password=PASSWORD))
    assert images.find(engine, ImageSource(registry)) == "", "a login of the client's own may be enough"
    assert images.find(engine, ImageSource(registry, digest=digest, user=USER, password=PASSWORD)) == ""
    for absent in (
        ImageSource(f"{registry}7", user=USER, password=PASSWORD),
        ImageSource(registry, user=USER, password="wrong"),
    ):
        with pytest.raises(ProvisioningError, match=r"is not available: .*(unknown|unauthorized).* -> "):
            images.find(engine, absent)
    assert not engine.inspect("image", registry)
    name = images.ensure(engine, ImageSource(registry, digest=digest, user=USER, password=PASSWORD))
    assert images.find(engine, ImageSource(registry, digest=digest)) == name
    assert name == f"{registry}@{digest}"
    assert images.version(engine, name) == NEW
    assert not (tmp_path / ".docker" / "config.json").exists()
    engine.docker("rmi", "--force", registry)
