"""Errors of a Docker engine are reported in one clear line, and no partial deployment stays."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from harness.docker import NEW, OLD, make_spec, running
from harness.waiting import wait_until
from infra.drivers.docker import driver, images
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.images import ImageSource
from infra.errors import ProvisioningError
from infra.hardening import Topology


def nothing_is_left(spec: driver.DeploymentSpec) -> bool:
    label = f"valkey.stack={spec.plan.stack}"
    return not any(spec.engine.list_by_labels(kind, label) for kind in ("container", "volume", "network"))


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ProvisioningError, match=r"(?i)docker daemon.*-> start it"):
        driver.ensure(make_spec(tmp_path, "single"), None)


def test_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProvisioningError, match="docker client is not installed"):
        Engine().check()


def test_no_compose_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", _without_plugins(tmp_path))
    with pytest.raises(ProvisioningError, match="install docker compose"):
        Engine().check()


def _without_plugins(folder: Path) -> str:
    """A PATH with the client alone, as it is where the plugin wasn't installed."""
    client = shutil.which("docker")
    assert client
    (folder / "docker").symlink_to(client)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("said", "what"), [("19.3.1", "Docker engine is 19.3.1, 20.10"), ("v2.3.3", "compose is v2.3.3")]
)
def test_too_old(monkeypatch: pytest.MonkeyPatch, said: str, what: str) -> None:
    ask = Engine.docker

    def older(engine: Engine, *arguments: str) -> str:
        if arguments[0] == "info" and "compose" not in what:
            return f'{{"ServerVersion": "{said}", "ID": "x"}}'
        if arguments[:2] == ("compose", "version") and "compose" in what:
            return said
        return ask(engine, *arguments)

    monkeypatch.setattr(Engine, "docker", older)
    with pytest.raises(ProvisioningError, match=what):
        Engine().check()


def test_an_image_that_is_nowhere(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "single")
    with pytest.raises(ProvisioningError, match=r"127\.0\.0\.1:1"):
        driver.ensure(replace(spec, source=ImageSource("127.0.0.1:1/valkey:9.1.2")), None)
    assert nothing_is_left(spec)


def test_an_image_without_a_server(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "single")
    with pytest.raises(ProvisioningError, match=r"contains Valkey 8\.1\.1, not 9\.1"):
        driver.ensure(replace(spec, source=ImageSource(f"valkey-test:{OLD}"), version="9.1"), None)
    assert nothing_is_left(spec)


def test_another_digest(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "single")
    wrong = ImageSource(f"valkey-test:{NEW}", digest=f"sha256:{'0' * 64}")
    with pytest.raises(ProvisioningError, match=r"has the digest sha256:[0-9a-f]{64}, not sha256:0000"):
        driver.ensure(replace(spec, source=wrong), None)
    assert nothing_is_left(spec)


def test_the_right_digest() -> None:
    engine = Engine()
    known = engine.inspect("image", f"valkey-test:{NEW}")[0]["Id"]
    assert images.ensure(engine, ImageSource(f"valkey-test:{NEW}", digest=known)) == known


def test_an_image_from_a_file(tmp_path: Path) -> None:
    engine, name = Engine(), f"valkey-test:file-{os.getpid()}"
    engine.docker("tag", f"valkey-test:{NEW}", name)
    engine.docker("save", "--output", str(tmp_path / "image.tar"), name)
    engine.docker("rmi", name)
    with pytest.raises(ProvisioningError, match="does not contain valkey-test:other"):
        images.ensure(engine, ImageSource("valkey-test:other", file=tmp_path / "image.tar"))
    engine.docker("rmi", name)
    assert images.ensure(engine, ImageSource(name, file=tmp_path / "image.tar")) == name
    assert images.version(engine, name) == NEW
    engine.docker("rmi", name)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        spec = replace(make_spec(tmp_path, "single"), first_port=taken.getsockname()[1])
        with pytest.raises(ProvisioningError, match=r"port \d+ of 127.0.0.1 is in use"):
            driver.ensure(spec, None)
    assert nothing_is_left(spec)


def test_a_subnet_that_is_taken(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        rival = make_spec(tmp_path, "single", subnet=harness.spec.plan.subnet)
        with pytest.raises(ProvisioningError, match="overlaps with"):
            driver.ensure(rival, None)
        assert nothing_is_left(rival)
        harness.assert_healthy()


def test_an_address_that_isnt_the_engines(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "single", bind="192.0.2.1")
    with pytest.raises(ProvisioningError, match=r"in use|cannot assign"):
        driver.ensure(spec, None)
    assert nothing_is_left(spec)


def test_a_project_name_that_another_stack_uses(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        thief = make_spec(tmp_path, "single", project=harness.spec.plan.project)
        with pytest.raises(ProvisioningError, match=f"belongs to {harness.spec.plan.stack}"):
            driver.ensure(thief, None)
        harness.assert_healthy()


def test_another_engine_than_before(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        moved = replace(harness.known, engine="another")
        with pytest.raises(ProvisioningError, match="another Docker engine"):
            driver.ensure(harness.spec, moved)


@pytest.mark.parametrize("topology", ["single", "cluster"])
def test_a_file_that_is_no_snapshot(tmp_path: Path, topology: Topology) -> None:
    (tmp_path / "bad.rdb").write_bytes(b"REDIS0011 and then nothing")
    spec = replace(make_spec(tmp_path, topology), restore_from=tmp_path / "bad.rdb")
    with pytest.raises(ProvisioningError, match=r"bad\.rdb can't be loaded"):
        driver.ensure(spec, None)
    assert nothing_is_left(spec)


def test_any_printable_password(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "replicated")
    awkward = """p@ss:w/rd#1 "q" %20\\é$x'`{}"""
    passwords = {name: f"{awkward}{name}" for name in spec.secrets.passwords}
    with running(replace(spec, secrets=replace(spec.secrets, passwords=passwords))) as harness:
        harness.assert_healthy()
        with harness.client() as client:
            assert client.set("key", "value")


def test_a_server_that_cannot_be_queried_is_reported_with_the_reason(tmp_path: Path) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        conf, image = harness.deployment.volume("conf"), harness.deployment.plan.image
        engine = harness.spec.engine
        engine.docker("run", "--rm", "-u", "0", "-v", f"{conf}:/c", "--entrypoint", "rm", image, "-f", "/c/tls/ca.crt")
        with pytest.raises(ProvisioningError, match="node-0: Could not negotiate a TLS connection: Invalid CA"):
            harness.deployment.executor.run("node-0", "PING")
        harness.ensure()
        harness.deployment.executor.run("node-0", "PING")


@pytest.mark.thorough
@pytest.mark.parametrize("file", ["users.acl", "tls/ca.crt"])
def test_a_server_whose_shared_file_is_gone_serves_again_at_once(tmp_path: Path, file: str) -> None:
    """Although the engine would start it again only after a while by then."""
    with running(make_spec(tmp_path, "single")) as harness:
        with harness.client() as client:
            client.set("key", "value")
        conf, image = harness.deployment.volume("conf"), harness.deployment.plan.image
        engine = harness.spec.engine
        engine.docker("run", "--rm", "-u", "0", "-v", f"{conf}:/c", "--entrypoint", "rm", image, "-f", f"/c/{file}")
        engine.docker("restart", harness.deployment.container("node-0"))
        wait_until(lambda: harness.container("node-0")["RestartCount"] >= 9, 300)  # 25 s until the next one
        assert any("No such file or directory" in problem for problem in harness.wrong())
        harness.ensure()
        with harness.client() as client:
            assert client.get("key") == "value"
