"""`make cli`: the program that is installed, with the address, the login and the authority of the stack."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.drivers.certificates import CertificatePair
from infra.drivers.docker.driver import DeploymentSpec, DeploymentState
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.images import ImageSource
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.providers import docker as containers
from stackctl.errors import StackError
from stackctl.operations import prompt
from stackctl.stack import Stack

ENDPOINT = Endpoint("embedded", "single", (Node("127.0.0.1", 6379),), False, "9.1.2", "cache", 2**26, ("app",))


def opened(
    endpoint: Endpoint,
    installed: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str = "redis://admin:s3cret@h:1",
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that replace the process."""
    calls: list[Any] = []
    (root / ".valkey").mkdir()
    env = {"VALKEY_URL": "redis://app:x@h:1", **({"VALKEY_CA": "PEM"} if endpoint.ca else {})}
    outputs = {"endpoint": endpoint.to_dict(), "adminUrl": url, "env": env}
    monkeypatch.setattr(Stack, "outputs", lambda _self: outputs)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == installed else None)

    def replace_process(_program: str, command: list[str], environment: dict[str, str]) -> None:
        calls.append((command, environment))
        raise SystemExit

    monkeypatch.setattr(os, "execve", replace_process)
    monkeypatch.setattr(os, "execvpe", replace_process)
    with pytest.raises(SystemExit):
        prompt.open_prompt(Stack("web", {}, root, True), "admin")
    return calls[0][0], calls[0][1]


def test_an_installed_program_gets_the_password_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, environment = opened(ENDPOINT, "redis-cli", tmp_path, monkeypatch)
    assert command == ["/bin/redis-cli", "-h", "127.0.0.1", "-p", "6379", "--user", "admin"]
    assert environment["REDISCLI_AUTH"] == "s3cret"


def test_tls_and_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = replace(ENDPOINT, topology="cluster", tls=True, ca="PEM")
    command, _ = opened(endpoint, "valkey-cli", tmp_path, monkeypatch)
    authority = tmp_path / ".valkey" / "web.ca.pem"
    assert command[5:8] == ["--tls", "--cacert", str(authority)]
    assert command[-1] == "-c"
    assert authority.read_text() == "PEM"


def test_the_program_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = DeploymentPlan("valkey-web", "valkey/web", "", "cluster", 3, 1, (), "", "127.0.0.1", "10.9.0.0/24", {})
    secrets = Secrets({}, {}, CertificatePair("", ""), "")
    spec = DeploymentSpec(Engine("remote"), ImageSource(""), "9.1", plan, secrets, tmp_path)
    state = DeploymentState("id", tuple(range(6379, 6391)), "image", "9.1.2", (), {}, {})
    monkeypatch.setattr(Stack, "resource", lambda _self, _kind: {})
    monkeypatch.setattr(containers, "_spec", lambda _props: spec)
    monkeypatch.setattr(containers, "_state", lambda _props: state)
    endpoint = replace(ENDPOINT, target="docker", topology="cluster", tls=True, nodes=(Node("10.0.0.1", 6380),))
    command, environment = opened(endpoint, "docker", tmp_path, monkeypatch)
    assert " ".join(command) == (
        "docker --context remote exec --interactive --env REDISCLI_AUTH valkey-web-node-1-1 "
        "valkey-cli -p 6380 --tls --cacert /etc/valkey/tls/ca.crt --user admin -c"
    )
    assert environment["REDISCLI_AUTH"] == "s3cret"


def test_without_one_our_own_prompt_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, environment = opened(ENDPOINT, "", tmp_path, monkeypatch)
    assert (command[0], command[-1]) == (sys.executable, "cli")
    assert environment["VALKEY_URL"] == "redis://admin:s3cret@h:1/0"


def test_users_without_passwords_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackError, match="have no passwords"):
        opened(ENDPOINT, "valkey-cli", tmp_path, monkeypatch, url="redis://admin@h:1")
