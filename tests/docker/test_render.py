"""Folders without Pulumi: compose/ as it is in a clone, rendered ones for compose and for Debian's package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.docker import IMAGE, NEW, OLD, SHAPES
from harness.ports import CONTAINERS, reserve
from harness.waiting import wait_until
from infra.drivers.docker.engine import Engine, EngineError
from stackctl.render import render
from stackctl.stack import PROJECT
from tests.support import checkout


def smoke(folder: Path) -> str:
    """The output of the smoke suite for the URL in the folder's file `env`."""
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


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A clone whose server has this test's image, port and project."""
    root = checkout.copy(tmp_path / "clone")
    choices = {
        "VALKEY_IMAGE": f"{IMAGE}:{NEW}",
        "VALKEY_PORT": reserve(CONTAINERS),
        "COMPOSE_PROJECT_NAME": f"alone-{os.getpid()}",
    }
    (root / "compose" / ".env").write_text("".join(f"{name}={value}\n" for name, value in choices.items()))
    yield root
    compose(root / "compose", "down", "--volumes")


def test_the_compose_file_of_a_clone_runs_alone(clone: Path) -> None:
    start, *others = checkout.runnable(clone / "compose" / "README.md")
    secrets = clone / "compose" / "secrets"
    checkout.session(clone, start)
    assert "FAILED" not in smoke(secrets)
    _asks(secrets, "set", "before", "yes")
    checkout.session(clone, "cd compose\n", *others, "docker compose up --detach --wait\n")
    assert _asks(secrets, "get", "before") == "yes"


@pytest.fixture(params=list(SHAPES))
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    topology = str(request.param)
    given = [
        f"topology={topology}",
        f"port={reserve(CONTAINERS)}",
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
    proven = smoke(folder)
    assert "FAILED" not in proven
    assert ("ok      The Sentinels agree" in proven) == ("topology=replicated" in given)
    containers = compose(folder, "ps", "--quiet")
    render("compose", folder, given)
    compose(folder, "up", "--detach", "--wait")
    assert compose(folder, "ps", "--quiet") == containers


@pytest.fixture(params=[pytest.param(OLD, marks=pytest.mark.thorough), NEW])
def machine(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Debian with its valkey-server package; the test image has given its user another number."""
    engine = Engine()
    options = ["--init", "--network", "host", "--user", "0", "--entrypoint", "sleep"]
    container = engine.docker("run", "--detach", "--rm", *options, f"{IMAGE}:{request.param}", "600").strip()
    engine.docker("exec", container, "chown", "-R", "valkey:valkey", "/var/lib/valkey", "/var/log/valkey")
    engine.docker("exec", container, "install", "-d", "-o", "valkey", "/run/valkey")
    engine.docker("exec", container, "sed", "-i", "1i another:x:999:", "/etc/group")  # its number has two names
    yield container
    engine.docker("kill", container)


READ_LOG = "cat /var/log/valkey/valkey-server.log || true"
"""The server does not make it at once."""

AS_VALKEY = ("setpriv", "--reuid=valkey", "--regid=valkey", "--clear-groups")
OWN = ("--port", "0", "--unixsocket", "/tmp/own", "--dir", "/var/lib/valkey")


def test_debians_package_serves_with_the_rendered_folder_and_keeps_its_data(machine: str, tmp_path: Path) -> None:
    engine, folder = Engine(), tmp_path / "native"

    def run(*command: str, detach: bool = False) -> str:
        return engine.docker("exec", *(["--detach"] if detach else []), machine, *command)

    run(*AS_VALKEY, "valkey-server", *OWN, detach=True)
    wait_until(lambda: "OK" in run("sh", "-c", "valkey-cli -s /tmp/own set before yes || true"))
    run("valkey-cli", "-s", "/tmp/own", "shutdown", "save")

    render("native", folder, [f"port={reserve(CONTAINERS)}", "memory=64mb", "workload=queue"])
    engine.docker("cp", str(folder), f"{machine}:/root/valkey")
    said = run("/root/valkey/install")
    assert "wrote /etc/valkey/valkey.conf" in said
    assert "dump.rdb to an append-only file" in said
    assert "wrote" not in run("/root/valkey/install")
    assert run("stat", "-c", "%a %u %g", "/etc/valkey/tls/server.key") == "640 0 999\n"

    run(*AS_VALKEY, "valkey-server", "/etc/valkey/valkey.conf", detach=True)
    wait_until(lambda: "Ready to accept" in run("sh", "-c", READ_LOG))
    assert "FAILED" not in smoke(folder)
    assert _asks(folder, "get", "before") == "yes"


SERVERS = "grep -lx valkey-server /proc/[0-9]*/comm"
KILLED_AT = {
    "loading": SERVERS,
    "rewriting": "[ -e appendonlydir ]",
    "complete": "[ -e appendonlydir/appendonly.aof.manifest ]",
}
KEYS = 300_000
FILL = f"for i = 1, {KEYS} do redis.call('set', 'key:' .. i, i) end"
KILL = """
cd /var/lib/valkey
/root/valkey/install >/dev/null 2>&1 &
until {sign} >/dev/null 2>&1 || ! kill -0 $!; do :; done
kill -9 $!
"""


@pytest.mark.parametrize("signal_at", list(KILLED_AT))
@pytest.mark.parametrize("served", [False, True], ids=["", "served-meanwhile"])
def test_an_install_killed_while_it_adopts_a_dump_adopts_all_of_it_the_next_time(
    machine: str, tmp_path: Path, signal_at: str, *, served: bool
) -> None:
    """Whether or not Debian's server, which ignores it, served its dump.rdb in between."""
    engine, folder = Engine(), tmp_path / "native"

    def run(*command: str, detach: bool = False) -> str:
        return engine.docker("exec", *(["--detach"] if detach else []), machine, *command)

    def serve(*commands: tuple[str, ...]) -> None:
        """As Debian's own configuration has it: a snapshot, no append-only file."""
        run(*AS_VALKEY, "valkey-server", *OWN, detach=True)
        wait_until(lambda: "PONG" in run("sh", "-c", "valkey-cli -s /tmp/own ping || true"))
        for command in commands:
            run("valkey-cli", "-s", "/tmp/own", *command)
        run("valkey-cli", "-s", "/tmp/own", "shutdown", "save")
        wait_until(lambda: not run("sh", "-c", f"{SERVERS} || true"))

    serve(("eval", FILL, "0"))
    render("native", folder, [f"port={reserve(CONTAINERS)}", "memory=256mb", "workload=queue"])
    engine.docker("cp", str(folder), f"{machine}:/root/valkey")
    run("sh", "-c", KILL.format(sign=KILLED_AT[signal_at]))
    if served:
        wait_until(lambda: not run("sh", "-c", f"{SERVERS} || true"))
        serve(("set", "later", "yes"))

    run("/root/valkey/install")
    assert not run("sh", "-c", f"{SERVERS} || true")
    assert "wrote" not in run("/root/valkey/install")
    run(*AS_VALKEY, "valkey-server", "/etc/valkey/valkey.conf", detach=True)
    wait_until(lambda: "Ready to accept" in run("sh", "-c", READ_LOG))
    assert _asks(folder, "dbsize") == str(KEYS + served)


def test_files_without_a_manifest_are_no_reason_for_an_empty_start(machine: str, tmp_path: Path) -> None:
    engine, folder = Engine(), tmp_path / "native"
    render("native", folder, [f"port={reserve(CONTAINERS)}", "memory=64mb"])
    engine.docker("cp", str(folder), f"{machine}:/root/valkey")
    engine.docker("exec", machine, "/root/valkey/install")
    installed = engine.docker("exec", machine, "sh", "-c", "cat /etc/systemd/system/valkey-server.service.d/*")
    assert "ExecStartPre=" in installed
    for damage in (
        "mkdir appendonlydir && touch appendonlydir/appendonly.aof.1.incr.aof",
        "echo REDIS >dump.rdb",
        "echo file appendonly.aof.1.base.rdb seq 1 type b >appendonlydir/appendonly.aof.manifest",
    ):
        engine.docker("exec", "--workdir", "/var/lib/valkey", machine, "sh", "-c", damage)
        with pytest.raises(EngineError, match=r"error: .*lacks its manifest or files that it names -> restore them"):
            engine.docker("exec", machine, "/root/valkey/install")


def _asks(folder: Path, *command: str) -> str:
    from valkeykit.connection import connect

    lines = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    with connect(lines["VALKEY_URL"].strip("'"), ca=(folder / "ca.crt").read_text()) as client:
        return str(client.execute_command(*command))


@pytest.mark.parametrize("label", ["0123456789012389", "7301234567890e12", "0899"])
def test_compose_takes_a_label_that_looks_like_a_number_for_text(label: str) -> None:
    """One that became a number is another than is wanted: its container would be renewed by each `up`."""
    project = {"name": "labels", "services": {"node": {"image": f"{IMAGE}:{NEW}", "labels": {"some.label": label}}}}
    read = json.loads(Engine().compose(project, "config", "--format", "json"))
    assert read["services"]["node"]["labels"] == {"some.label": label}
