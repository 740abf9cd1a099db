"""Another docker.subnet: the addresses of all servers change at once, and their primary stops before its replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.docker import make_spec
from infra.drivers.docker import driver
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.engine import Engine
from infra.drivers.topology import replication
from infra.hardening import Topology


def network(*subnets: str) -> dict[str, Any]:
    return {"Name": "default", "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


def deploy(monkeypatch: pytest.MonkeyPatch, folder: Path, topology: Topology, networks: list[Any]) -> list[Any]:
    """The steps of an update, up to the first one that every update has."""
    steps: list[Any] = []

    def write_users(_self: ContainerDeployment) -> None:
        raise InterruptedError

    monkeypatch.setattr(Engine, "inspect", lambda *_: networks)
    monkeypatch.setattr(ContainerDeployment, "compose", lambda _self, *command: steps.append(command))
    monkeypatch.setattr(ContainerDeployment, "write_users", write_users)
    monkeypatch.setattr(driver, "reachable", lambda _executor, nodes: nodes)
    monkeypatch.setattr(replication, "role", lambda _executor, node: "master" if node.name == "node-2" else "slave")
    spec = make_spec(folder, topology, subnet="10.1.2.0/24", ports=tuple(range(7000, 7006)))
    with pytest.raises(InterruptedError):
        driver._change(ContainerDeployment(spec.engine, spec.plan, spec.secrets))
    return steps


def test_a_replicated_stack_is_taken_down_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = deploy(monkeypatch, tmp_path, "replicated", [network("10.1.1.0/24")])
    assert steps == [("stop", "sentinel-0", "sentinel-1", "sentinel-2"), ("stop", "node-2"), ("down",)]


def test_a_cluster_is_taken_down_with_its_keeper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert deploy(monkeypatch, tmp_path, "cluster", [network("10.1.1.0/24")]) == [("down",)]


@pytest.mark.parametrize(
    "networks",
    [
        [],
        [network("10.1.2.0/24")],
        [network("fd00::/64", "10.1.2.0/24")],
        [{"Name": "default", "IPAM": {"Config": None}}],
    ],
)
def test_without_a_move_nothing_is(networks: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert deploy(monkeypatch, tmp_path, "cluster", networks) == []
