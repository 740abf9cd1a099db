"""The docker target by the real Pulumi CLI, as a user has it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint

from harness.docker import IMAGE, NEW, OLD, remove_leftovers
from harness.ports import CONTAINERS, reserve
from harness.project import USERS_CHOICE, Project
from infra.drivers.docker.engine import Engine
from infra.policy import policies
from infra.policy.policies import CheckedResource
from stackctl import data_loss
from stackctl.errors import StackError
from stackctl.operations import failover
from stackctl.stack import PROJECT, Stack
from tests.docker.test_monitoring import EXPORTER


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    made = Project.create(tmp_path)
    made.stack = Stack.open(f"t{abs(hash(str(tmp_path))) % 10**6}", made.root)
    yield made
    remove_leftovers(f"valkey/{made.stack.name}")


def choose(project: Project, topology: str, version: str = NEW) -> None:
    port = str(reserve(CONTAINERS))  # away from those that embedded stacks begin with
    project.configure(target="docker", topology=topology, version=version, memory="64mb", workload="queue", port=port)
    assert project.pulumi("config", "set", "--path", "docker.image", f"{IMAGE}:{version}").returncode == 0


def value(project: Project, key: str, new: str | None = None) -> str | None:
    outputs = project.stack.outputs()
    password = outputs["url"].split(":")[2].split("@")[0]
    with connect(Endpoint.from_dict(outputs["endpoint"]), username="app", password=password) as client:
        if new is not None:
            client.set(key, new)
        return str(client.get(key))


def smoke(project: Project) -> subprocess.CompletedProcess[str]:
    """The suite by the variables that an application gets."""
    outputs = project.stack.outputs()
    users = {"VALKEY_ADMIN_URL": outputs["adminUrl"], "VALKEY_MONITOR_URL": outputs["monitorUrl"]}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests/smoke", "-q", "-p", "no:cacheprovider"],
        cwd=PROJECT, env={**project.stack.environment, **outputs["env"], **users}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_an_exporter_gets_a_login_of_its_own_on_a_stack_that_is_up(project: Project) -> None:
    choose(project, "single")
    project.stack.up()
    users = {resource["urn"].rpartition("::")[2] for resource in project.resources()}
    assert "exporter" not in users
    project.pulumi("config", "set", "--path", "docker.exporter", EXPORTER)
    project.stack.up()
    outputs = project.stack.outputs()
    (target,) = outputs["prometheusTargets"]
    assert target["targets"][0].startswith("rediss://exporter@")
    context = ssl.create_default_context(cadata=outputs["endpoint"]["ca"])
    query = urllib.parse.urlencode({"target": target["targets"][0]})
    with urllib.request.urlopen(f"https://{target['labels']['exporter']}/scrape?{query}", context=context) as answer:
        assert "\nredis_up 1\n" in answer.read().decode()
    assert project.pulumi("preview", "--refresh", "--expect-no-changes").returncode == 0


def test_the_sentinels_are_checked_from_outside(project: Project) -> None:
    """By `make smoke`, which `make up` ends with; DISRUPTIVE=1 has them fail over."""
    for folder in ("tests", "stackctl"):
        shutil.copytree(PROJECT / folder, project.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", project.root)
    choose(project, "replicated")
    project.stack.up()
    assert "sentinels" not in {name for name, nodes in project.stack.outputs()["endpoint"].items() if nodes}
    options = ["--stack", project.stack.name, "--", "--disruptive", "--within", "300"]
    run = subprocess.run(
        [sys.executable, "-m", "stackctl", "smoke", *options],
        cwd=project.root, env={**os.environ, **project.stack.environment, "VERBOSE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    for check in (
        "The Sentinels agree",
        "The Sentinels know each other",
        "Nobody asks a Sentinel",
        "A planned failover",
    ):
        assert f"ok      {check}" in run.stdout
    assert "Sentinel is known" not in run.stdout


@pytest.mark.parametrize(
    "topology", [*(pytest.param(name, marks=pytest.mark.thorough) for name in ("single", "replicated")), "cluster"]
)
def test_up_is_proven_by_the_smoke_suite_and_a_second_changes_nothing(project: Project, topology: str) -> None:
    choose(project, topology)
    assert project.stack.up() is True
    proven = smoke(project)
    assert proven.returncode == 0, proven.stdout
    assert value(project, "key", "kept") == "kept"
    assert project.stack.up() is False
    preview = project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert preview.returncode == 0, preview.stdout
    containers = CheckedResource(policies.CONTAINERS, project.stack.resource("Containers"))
    assert [problem for policy in policies.POLICIES for problem in policy.check(containers)] == []
    project.stack.down()
    assert not Engine().list_by_labels("container", f"valkey.stack=valkey/{project.stack.name}")
    assert list((project.root / ".valkey" / project.stack.name).glob("final-*.rdb"))


def test_a_preview_refuses_what_an_update_would(project: Project) -> None:
    """With a rotation at once, whose passwords a preview doesn't know yet."""
    choose(project, "single")
    project.stack.up()
    outputs = project.stack.outputs()
    password = outputs["url"].split(":")[2].split("@")[0]
    with connect(Endpoint.from_dict(outputs["endpoint"]), username="app", password=password) as client:
        for number in range(80):
            client.set(f"key:{number}", "x" * 500_000)
    project.configure(memory="32mb", passwordRotation="now")
    refused = project.pulumi("preview")
    assert refused.returncode != 0
    assert "may not evict" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    project.configure(memory="64mb")
    assert project.pulumi("preview").returncode == 0
    project.configure(version="9.1.7")
    project.pulumi("config", "set", "--path", "docker.image", "127.0.0.1:1/valkey:9.1.7")
    refused = project.pulumi("preview")
    assert refused.returncode != 0
    assert "127.0.0.1:1/valkey:9.1.7 is not available" in refused.stdout + refused.stderr
    new = replace(project.stack, name=f"{project.stack.name}b")
    new.query("stack", "select", "--create", new.name)
    new.query("config", "cp", "--stack", project.stack.name, "--dest", new.name)
    with pytest.raises(StackError):
        new.preview()


def test_production_protects_the_containers_and_their_cleanup(project: Project) -> None:
    """The deletion of the cleanup alone would remove the containers."""
    choose(project, "single")
    project.configure(environment="prod")
    steps = json.loads(project.pulumi("preview", "--json").stdout)["steps"]
    kinds = {step["newState"]["type"].rpartition(":")[2] for step in steps if step["newState"].get("protect")}
    assert kinds == {"Cleanup", "Containers"}


def test_the_end_of_a_stack_whose_creation_was_killed_leaves_nothing(project: Project) -> None:
    choose(project, "single")
    stack = f"valkey/{project.stack.name}"
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", project.stack.name]
    with subprocess.Popen(command, cwd=project.root, env=project.stack.environment, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 600
        while not Engine().list_by_labels("container", f"valkey.stack={stack}", "valkey.purpose=node"):
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for process in psutil.Process(run.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        run.kill()
    assert "Containers" not in {resource["type"].rpartition(":")[2] for resource in project.resources()}
    project.stack.down()
    for kind in ("container", "volume", "network"):
        assert Engine().list_by_labels(kind, f"valkey.stack={stack}") == []


@pytest.mark.thorough
def test_a_failover_drill_loses_nothing_that_was_acknowledged(project: Project) -> None:
    choose(project, "replicated")
    project.stack.up()
    before = project.stack.outputs()["endpoint"]["nodes"][0]
    said = " ".join(failover.run(project.stack))
    assert "acknowledged, none lost" in said
    project.stack.up()
    assert project.stack.outputs()["endpoint"]["nodes"][0] != before
    project.stack.down()


def test_drift_rotation_and_upgrade(project: Project) -> None:
    choose(project, "single", OLD)
    project.stack.up()
    assert value(project, "key", "kept") == "kept"
    before = project.stack.outputs()["url"]
    Engine().docker("kill", f"valkey-{project.stack.name}-node-0-1")
    assert project.pulumi("preview", "--refresh", "--expect-no-changes").returncode != 0
    assert project.stack.up() is True
    project.configure(passwordRotation="one")
    assert project.stack.up() is True
    assert project.stack.outputs()["url"] != before
    assert value(project, "key") == "kept"
    project.configure(completedRotation="one", version=NEW)
    assert project.pulumi("config", "set", "--path", "docker.image", f"{IMAGE}:{NEW}").returncode == 0
    assert project.stack.up() is True
    assert (value(project, "key"), project.stack.outputs()["endpoint"]["version"]) == ("kept", NEW)
    project.configure(version=OLD)
    assert project.pulumi("config", "set", "--path", "docker.image", f"{IMAGE}:{OLD}").returncode == 0
    refused = project.pulumi("up", "--yes", "--skip-preview")
    assert refused.returncode != 0
    assert f"{OLD} is older and may not read it" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert value(project, "key") == "kept"


@pytest.mark.thorough
def test_a_renamed_stack_keeps_its_data(project: Project) -> None:
    choose(project, "single")
    project.stack.up()
    assert value(project, "key", "kept") == "kept"
    old = project.stack.name
    assert project.pulumi("stack", "rename", f"{old}x").returncode == 0
    project.stack = Stack.open(f"{old}x", project.root)
    project.stack.up()
    assert value(project, "key") == "kept"
    project.stack.down()
    project.stack = Stack.open(old, project.root)


def test_a_node_whose_data_is_gone_is_reported_once(project: Project) -> None:
    choose(project, "single")
    project.stack.up()
    assert value(project, "key", "kept") == "kept"
    assert (data_loss.recoveries(project.stack), data_loss.before_change(project.stack)) == ([], "")
    Engine().docker("rm", "--force", f"valkey-{project.stack.name}-node-0-1")
    Engine().docker("volume", "rm", f"valkey-{project.stack.name}_node-0")
    project.stack.up()
    lost = "node-0: its data directory was recreated; its data is gone: it is a primary without keys"
    assert [data_loss.recoveries(project.stack) for _ in range(2)] == [[lost], []]
    for _ in range(2):  # until the operator accepts it
        assert "node-0 0 of 1 (restarted " in data_loss.before_change(project.stack)


def test_no_secret_is_in_the_state(project: Project) -> None:
    choose(project, "single")
    project.stack.up()
    exported = json.loads(project.pulumi("stack", "export").stdout)
    text = json.dumps(exported)
    assert "PRIVATE KEY" not in text
    for name in ("url", "adminUrl", "monitorUrl"):
        password = project.stack.outputs()[name].split(":")[2].split("@")[0]
        assert password not in text
