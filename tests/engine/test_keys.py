"""Data that is gone is reported by `make up` and `make smoke`; keys that clients removed are no warning."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.project import Project
from infra.drivers.processes import process
from infra.drivers.processes.folder import ServerFolder
from stackctl.stack import PROJECT

KEYS = 500
CHECK = "No shard has lost keys in a restart or a failover"


@pytest.fixture
def command(project: Project) -> Project:
    """With all that `make` calls in the test's own project."""
    for folder in ("tests", "stackctl"):
        shutil.copytree(PROJECT / folder, project.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", project.root)
    return project


def tool(project: Project, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command on the stack."""
    name, *options = arguments
    variables = {key: value for key, value in project.stack.environment.items() if "BACKEND" not in key}
    variables["VERBOSE"] = "1"
    variables.pop("PULUMI_CONFIG_PASSPHRASE_FILE")
    done = subprocess.run(
        [sys.executable, "-m", "stackctl", name, "--stack", "test", *options],
        cwd=project.root, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def smoke(project: Project, *options: str) -> str:
    """What the check of the keys reports."""
    junit = str(project.root / "junit.xml")
    code, output = tool(project, "smoke", *options, "--", "-k", "test_keys", "--junitxml", junit)
    assert code == 0, output
    return output


def write(project: Project) -> None:
    """Keys that are on the disk."""
    with project.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "value")
        assert client.execute_command("WAITAOF", 1, 0, 60_000)[0] == 1


def cut_to_half(folder: ServerFolder) -> None:
    (file,) = (folder.data / "appendonlydir").glob("*.incr.aof")
    with file.open("r+b") as log:
        log.truncate(file.stat().st_size // 2)


def damage(folder: ServerFolder, how: Callable[[ServerFolder], None]) -> None:
    """As after a crash: killed, and then its files change."""
    running = process.find(folder)
    assert running is not None
    running.kill()
    running.wait(10)
    how(folder)


def kept(project: Project) -> Path:
    return project.root / ".valkey" / "test.keycounts.json"


@pytest.mark.parametrize(
    ("how", "least", "most"),
    [(cut_to_half, 1, KEYS - 50), pytest.param(ServerFolder.clear_data, 0, 0, marks=pytest.mark.thorough)],
)
def test_lost_keys_are_reported_until_they_are_accepted(
    command: Project, how: Callable[[ServerFolder], None], least: int, most: int
) -> None:
    command.stack.up()
    write(command)
    assert f"ok      {CHECK}: {KEYS} keys\n" in smoke(command)
    assert stat.S_IMODE(kept(command).stat().st_mode) == 0o600

    damage(command.folder, how)
    command.stack.up()
    with command.client() as client:
        left = client.dbsize()
    assert least <= left <= most
    lost = f"127.0.0.1:{command.stack.outputs()['endpoint']['nodes'][0]['port']} {left} of {KEYS} (restarted "
    code, output = tool(command, "up")
    assert code == 0, output
    assert "warning: before this command, the stack has fewer keys than " in output
    assert f"warning {CHECK}: {left} keys, the stack has fewer keys than " in output
    assert output.count(lost) == 2
    assert f"ok      {CHECK}: {left} keys\n" in smoke(command, "--accept")
    assert tool(command, "down")[0] == 0
    assert not kept(command).exists()


def test_keys_that_clients_removed_are_no_warning(command: Project) -> None:
    command.stack.up()
    write(command)
    smoke(command)
    with command.client() as client:
        client.flushall()
    output = smoke(command)
    assert "warning" not in output
    assert f"had {KEYS} " in output
    assert "removed by clients, expiry or eviction: without a restart or a failover" in output
    assert f"ok      {CHECK}: 0 keys\n" in smoke(command)


@pytest.mark.thorough
def test_an_emptied_replica_loses_nothing(command: Project) -> None:
    command.configure(topology="replicated", replicas="1")
    command.stack.up()
    write(command)
    smoke(command)
    damage(ServerFolder(command.folder.path / "node-1"), ServerFolder.clear_data)
    command.stack.up()
    assert f"ok      {CHECK}: {KEYS} keys\n" in smoke(command)
