"""Replicated and cluster under the real engine: up, no change, drift, change, refusal, smoke suite, destroy."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from valkeykit.connection import Client, connect
from valkeykit.environment import resolve

from harness.project import Project
from infra.drivers.processes import process
from infra.drivers.processes.folder import ServerFolder
from stackctl.stack import PROJECT

TOPOLOGIES = ("replicated", "cluster")


@pytest.fixture
def group(project: Project, request: pytest.FixtureRequest) -> Project:
    project.configure(topology=request.param)
    return project


every_topology = pytest.mark.parametrize("group", TOPOLOGIES, indirect=True)


def servers(group: Project) -> dict[str, psutil.Process]:
    folders = [claim.parent for claim in group.folder.path.glob("*/claim.json")]
    found = {folder.name: process.find(ServerFolder(folder)) for folder in folders}
    return {name: running for name, running in found.items() if running}


def application(group: Project) -> Client:
    """A client made from nothing but an application's variables."""
    address = resolve(group.stack.outputs()["env"])
    assert address is not None
    return connect(address)


@every_topology
def test_a_stacks_life(group: Project, request: pytest.FixtureRequest) -> None:
    topology = request.node.callspec.params["group"]
    assert group.stack.up() is True
    outputs, before = group.stack.outputs(), servers(group)
    assert len(before) == 6
    assert len(outputs["endpoint"]["nodes"]) == (6 if topology == "cluster" else 3)
    assert len(outputs["endpoint"]["sentinels"]) == (0 if topology == "cluster" else 3)
    assert outputs["env"]["VALKEY_TOPOLOGY"] == topology
    assert ("VALKEY_SENTINELS" in outputs["env"]) == (topology == "replicated")
    assert group.stack.up() is False
    assert group.stack.outputs() == outputs

    with contextlib.closing(application(group)) as client:
        client.set("key", "kept")
        before["node-0"].send_signal(signal.SIGKILL)
        before["node-0"].wait(10)
        preview = group.pulumi("preview", "--refresh", "--expect-no-changes")
        assert preview.returncode != 0
        assert group.stack.up() is True
        assert group.stack.up() is False
    with contextlib.closing(application(group)) as client:
        assert client.get("key") == "kept"
    if topology == "replicated":
        first = group.stack.outputs()["endpoint"]["nodes"][0]
        assert first != outputs["endpoint"]["nodes"][0]  # the current primary comes first

    pids = {name: running.pid for name, running in servers(group).items()}
    group.configure(workload="mixed", memory="128mb")
    group.stack.up()
    assert {name: running.pid for name, running in servers(group).items()} == pids
    with contextlib.closing(application(group)) as client:
        assert client.get("key") == "kept"
    group.stack.down()
    assert servers(group) == {}
    (left,) = group.folder.path.iterdir()
    assert left.name.startswith("final-")


def test_what_cant_change_is_refused_with_the_mend(project: Project) -> None:
    project.configure(topology="replicated", replicas="1")
    project.stack.up()
    pids = {name: running.pid for name, running in servers(project).items()}
    for key, value, said in (
        ("topology", "cluster", "can't be changed in place -> pulumi config set topology replicated"),
        ("port", "7701", "know each other by their ports -> pulumi config set port 0"),
    ):
        project.configure(**{key: value})
        result = project.pulumi("up", "--yes", "--skip-preview")
        assert result.returncode != 0
        assert said in result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        project.configure(**{key: {"topology": "replicated", "port": "0"}[key]})
    assert {name: running.pid for name, running in servers(project).items()} == pids
    project.configure(replicas="2")
    project.stack.up()
    assert len(servers(project)) == 6
    project.configure(replicas="1")
    result = project.pulumi("up", "--yes", "--skip-preview")
    assert "there can only be more of them -> pulumi config set replicas 2" in result.stdout


def test_no_secret_of_the_servers_to_each_other_is_told(project: Project) -> None:
    project.configure(topology="replicated", replicas="1")
    project.stack.up()
    told = [project.pulumi(*command) for command in (("stack", "export"), ("preview", "--diff"), ("stack", "output"))]
    configuration = (project.folder.path / "node-0" / "valkey.conf").read_text()
    (secret,) = [line.split()[1] for line in configuration.splitlines() if line.startswith("masterauth ")]
    assert not [command.args for command in told if secret in command.stdout + command.stderr]
    for name, running in servers(project).items():
        assert secret not in " ".join(running.cmdline()), name
    for log in project.folder.path.rglob("valkey.log*"):
        assert secret not in log.read_text()


@every_topology
def test_the_smoke_suite_passes_also_where_it_disturbs(group: Project) -> None:
    for folder in ("tests", "stackctl"):
        shutil.copytree(PROJECT / folder, group.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", group.root)
    group.stack.up()
    result = subprocess.run(
        [sys.executable, "-m", "stackctl", "smoke", "--stack", "test", "--", "--disruptive", "--within", "300"],
        cwd=group.root,
        env={**os.environ, **_own_backend(group), "VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert "ok      A killed primary: writes go on in time" in result.stdout
    assert "ok      A planned failover" in result.stdout
    assert "FAILED" not in result.stdout
    is_replicated = group.stack.outputs()["endpoint"]["topology"] == "replicated"
    assert ("note: clients that read VALKEY_SENTINELS follow a failover" in result.stdout) == is_replicated


def _own_backend(group: Project) -> dict[str, str]:
    """As a user has it: the project finds its backend by itself."""
    return {"PATH": group.stack.environment["PATH"], "PULUMI_HOME": str(Path(os.environ["PULUMI_HOME"]))}
