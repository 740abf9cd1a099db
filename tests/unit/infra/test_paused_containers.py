"""A paused container: nothing can be started or queried in it, so nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.docker import make_spec
from infra.drivers.docker import container_health
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.engine import Engine
from infra.errors import ProvisioningError


@pytest.mark.parametrize("paused", [True, False])
def test_it_is_rejected_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, paused: bool) -> None:
    def inspect(_self: Engine, _kind: str, *names: str) -> list[dict[str, Any]]:
        return [{"Name": f"/{name}", "State": {"Paused": paused and "node-1" in name}} for name in names]

    monkeypatch.setattr(Engine, "inspect", inspect)
    spec = make_spec(tmp_path, "replicated", project="shop", ports=tuple(range(7000, 7006)))
    deployment = ContainerDeployment(spec.engine, spec.plan, spec.secrets)
    if not paused:
        deployment.reject_paused()
        return
    with pytest.raises(
        ProvisioningError, match=r"^paused containers: shop-node-1-1 -> docker unpause shop-node-1-1, then make up$"
    ):
        deployment.reject_paused()


def test_it_is_a_problem_of_its_own() -> None:
    facts = {"State": {"Running": True, "Paused": True, "Restarting": False, "Health": {"Status": "unhealthy"}}}
    assert container_health.problem(facts, {}) == "it is paused"
