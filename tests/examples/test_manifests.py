"""The manifests of the examples: against Kubernetes' own schema, and against what this project puts into them."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from valkeykit.endpoint import Endpoint
from valkeykit.queue.worker.prefetch import POLL_BLOCK_SECONDS
from valkeykit.queue.worker.worker_run import RELEASE_GRACE_SECONDS
from valkeykit.url import Node

from stackctl import export
from stackctl.stack import PROJECT
from tests.support import installs

HERE = Path(__file__).parent
KUBERNETES = PROJECT / "examples" / "kubernetes"
DEPLOYMENT = KUBERNETES / "deployment.yaml"
WORKER = KUBERNETES / "worker.yaml"
EXTERNAL = sorted(KUBERNETES.glob("external-secret-*.yaml"))
WORKFLOW = PROJECT / "examples" / "github" / "valkey.yaml"
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yaml"))

ENDPOINT = Endpoint(
    "docker",
    "cluster",
    (Node("localhost", 6379), Node("localhost", 6380)),
    True,
    "9.1.2",
    "queue",
    1,
    ("app",),
    ca="PEM",
)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The Secret of `make env FORMAT=k8s STACK=web`."""
    return export.write(
        tmp_path, "web", ENDPOINT.variables("rediss://app:p@localhost:6379/0"), "k8s", tmp_path / "s.yaml"
    )


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def test_kubernetes_takes_the_deployments_and_the_secret(secret: Path) -> None:
    program = installs.python(HERE / "kubernetes").ready() / "bin" / "kubernetes-validate"
    done = subprocess.run(
        [program, "--strict", DEPLOYMENT, WORKER, secret], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed ") == 3


def test_kubernetes_rejects_an_invalid_manifest(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(DEPLOYMENT.read_text().replace("containerPort", "containersPort"))
    program = installs.python(HERE / "kubernetes").ready() / "bin" / "kubernetes-validate"
    assert subprocess.run([program, "--strict", wrong], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("file", [DEPLOYMENT, WORKER], ids=lambda file: file.stem)
def test_a_deployment_uses_what_the_secret_has(file: Path, secret: Path) -> None:
    (deployment,), (made,) = documents(file), documents(secret)
    pod = deployment["spec"]["template"]["spec"]
    container, volume = pod["containers"][0], pod["volumes"][0]
    (item,), mount = volume["secret"]["items"], container["volumeMounts"][0]
    assert mount["name"] == volume["name"]
    assert container["envFrom"] == [{"secretRef": {"name": made["metadata"]["name"]}}]
    assert volume["secret"]["secretName"] == made["metadata"]["name"]
    assert item["key"] in made["stringData"]
    assert container["env"] == [{"name": "VALKEY_CA", "value": f"{mount['mountPath']}/{item['path']}"}]


def test_the_worker_is_probed_and_has_time_to_drain() -> None:
    (deployment,) = documents(WORKER)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    accepted = set(re.findall(r"--[a-z-]+", _help("worker")))
    assert container["command"][:2] == ["valkeykit", "worker"]
    assert set(options) <= accepted
    assert (
        pod["terminationGracePeriodSeconds"]
        >= float(options["--shutdown-timeout"]) + RELEASE_GRACE_SECONDS + POLL_BLOCK_SECONDS
    )
    assert container["ports"] == [{"name": "health", "containerPort": int(options["--health-port"])}]
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/live", "port": "health"},
        "livenessProbe": {"path": "/live", "port": "health"},
        "readinessProbe": {"path": "/ready", "port": "health"},
    }
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp"}


def _help(command: str) -> str:
    code = "from valkeykit.cli import main; main()"
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout


@pytest.mark.parametrize("file", EXTERNAL, ids=lambda file: file.stem)
def test_an_external_secret_makes_the_same_variables(file: Path, secret: Path) -> None:
    store, external = documents(file)
    (made,) = documents(secret)
    spec = external["spec"]
    assert spec["secretStoreRef"] == {"kind": store["kind"], "name": store["metadata"]["name"]}
    assert spec["target"]["name"] == made["metadata"]["name"]
    assert set(spec["target"]["template"]["data"]) <= set(made["stringData"])
    assert {entry["secretKey"]: entry["remoteRef"]["property"] for entry in spec["data"]} == {
        "url": "url",
        "endpoint": "endpoint",
    }
    used = set(re.findall(r"\(fromJson \.endpoint\)\.(\w+)", file.read_text()))
    assert used <= {field.name for field in dataclasses.fields(Endpoint)}
    assert set(re.findall(r"\$node\.(\w+)", file.read_text())) == {field.name for field in dataclasses.fields(Node)}


def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    lint = installs.go(HERE / "actionlint", "github.com/rhysd/actionlint/cmd/actionlint").ready() / "actionlint"
    done = subprocess.run([lint, "-shellcheck=", WORKFLOW, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WORKFLOW.read_text().replace("runs-on", "runs-in"))
    assert subprocess.run([lint, wrong], capture_output=True, check=False).returncode == 1
