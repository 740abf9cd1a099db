"""Rendered folders: `docker compose up --wait` in one, Debian's package with the other; the smoke suite says yes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.docker.engine import Engine
from tests.docker.bed import IMAGE, NEW, OLD, SHAPES, first_port
from tools.render import render
from tools.stack import PROJECT


def smoke(folder: Path) -> str:
    """What the smoke suite says to what the folder's file `env` names."""
    lines = (folder / "env").read_text().splitlines()
    known = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    suite = [sys.executable, "-m", "pytest", "tests/smoke", "-q", "--no-header", "-p", "no:cacheprovider"]
    run = subprocess.run(suite, cwd=PROJECT, env={**os.environ, **known}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    return run.stdout


def compose(folder: Path, *arguments: str) -> str:
    command = ["docker", "compose", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(params=list(SHAPES))
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    topology = str(request.param)
    given = [
        f"topology={topology}",
        f"port={first_port(7)}",
        "memory=64mb",
        f"docker.project=render-{topology}-{os.getpid()}",
        f"docker.image={IMAGE}:{NEW}",
    ]
    folder = tmp_path / "deployment"
    render("compose", folder, given)
    yield folder, given
    compose(folder, "down", "--volumes", "--remove-orphans")


def test_compose_up_in_a_rendered_folder_serves_and_rendering_again_disturbs_nothing(
    rendered: tuple[Path, list[str]],
) -> None:
    folder, given = rendered
    compose(folder, "up", "--detach", "--wait")
    assert "FAILED" not in smoke(folder)
    containers = compose(folder, "ps", "--quiet")
    render("compose", folder, given)
    compose(folder, "up", "--detach", "--wait")
    assert compose(folder, "ps", "--quiet") == containers


@pytest.fixture(params=[OLD, NEW])
def machine(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Debian with its valkey-server package; the test image has given its user another number."""
    engine = Engine()
    options = ["--network", "host", "--user", "0", "--entrypoint", "sleep"]
    container = engine.docker("run", "--detach", "--rm", *options, f"{IMAGE}:{request.param}", "600").strip()
    engine.docker("exec", container, "chown", "-R", "valkey:valkey", "/var/lib/valkey", "/var/log/valkey")
    engine.docker("exec", container, "install", "-d", "-o", "valkey", "/run/valkey")
    engine.docker("exec", container, "sed", "-i", "1i another:x:999:", "/etc/group")  # its number has two names
    yield container
    engine.docker("kill", container)


AS_VALKEY = ("setpriv", "--reuid=valkey", "--regid=valkey", "--clear-groups")
OWN = ("--port", "0", "--unixsocket", "/tmp/own", "--dir", "/var/lib/valkey")


def test_debians_package_serves_with_the_rendered_folder_and_keeps_its_data(machine: str, tmp_path: Path) -> None:
    engine, folder = Engine(), tmp_path / "native"

    def run(*command: str, detach: bool = False) -> str:
        return engine.docker("exec", *(["--detach"] if detach else []), machine, *command)

    run(*AS_VALKEY, "valkey-server", *OWN, detach=True)
    _until(lambda: "OK" in run("sh", "-c", "valkey-cli -s /tmp/own set before yes || true"))
    run("valkey-cli", "-s", "/tmp/own", "shutdown", "save")

    render("native", folder, [f"port={first_port(1)}", "memory=64mb", "workload=queue"])
    engine.docker("cp", str(folder), f"{machine}:/root/valkey")
    said = run("/root/valkey/install")
    assert "wrote /etc/valkey/valkey.conf" in said
    assert "dump.rdb is put into an append-only file" in said
    assert "wrote" not in run("/root/valkey/install")
    assert run("stat", "-c", "%a %u %g", "/etc/valkey/tls/server.key") == "640 0 999\n"

    run(*AS_VALKEY, "valkey-server", "/etc/valkey/valkey.conf", detach=True)
    _until(lambda: "Ready to accept" in run("cat", "/var/log/valkey/valkey-server.log"))
    assert "FAILED" not in smoke(folder)
    assert _asks(folder, "get", "before") == "yes"


def _asks(folder: Path, *command: str) -> str:
    from valkeykit.connection import connect

    lines = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    with connect(lines["VALKEY_URL"].strip("'"), ca=(folder / "ca.crt").read_text()) as client:
        return str(client.execute_command(*command))


def _until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it doesn't come up"
        time.sleep(0.2)


@pytest.mark.parametrize("label", ["0123456789012389", "7301234567890e12", "0899"])
def test_compose_takes_a_label_that_looks_like_a_number_for_text(label: str) -> None:
    """One that became a number is another than is wanted: its container would be renewed by each `up`."""
    project = {"name": "labels", "services": {"node": {"image": f"{IMAGE}:{NEW}", "labels": {"some.label": label}}}}
    read = json.loads(Engine().compose(project, "config", "--format", "json"))
    assert read["services"]["node"]["labels"] == {"some.label": label}
