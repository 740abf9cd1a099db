"""While servers aren't healthy, the driver reports what they wait for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.docker import make_spec
from infra.drivers.docker.deployment import ContainerDeployment
from infra.drivers.docker.reasons import WAIT_GRACE_SECONDS, Reason
from infra.errors import ProvisioningError

STARTING = {"State": {"Running": True, "Restarting": False, "Status": "running", "Health": {"Status": "starting"}}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def wait(monkeypatch: pytest.MonkeyPatch, clock: list[float], healthy_after: float, folder: Path) -> None:
    """For a node that reports why it waits, and is healthy after some seconds."""

    def slow(_self: ContainerDeployment, services: Any) -> dict[str, Any]:
        return {name: {**STARTING, "RestartCount": 0} for name in services} if clock[0] < healthy_after else {}

    monkeypatch.setattr(ContainerDeployment, "_not_healthy", slow)
    reason = Reason("node-1 holds more", WAIT_GRACE_SECONDS)
    monkeypatch.setattr(ContainerDeployment, "_reason", lambda _self, _service: reason)
    spec = make_spec(folder, "single")
    ContainerDeployment(spec.engine, spec.plan, spec.secrets)._wait_until_healthy(["node-0"])


def test_what_a_node_waits_for_is_reported_once_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wait(monkeypatch, clock, 30, tmp_path)
    assert caplog.messages == ["still waiting for node-0: node-1 holds more"]
    caplog.clear()
    clock[0] = 0
    wait(monkeypatch, clock, 3, tmp_path)  # as most starts are
    assert caplog.messages == []


def test_a_node_that_waits_too_long_ends_it(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    with pytest.raises(ProvisioningError, match=r"^node-0 did not start: node-1 holds more"):
        wait(monkeypatch, clock, 300, tmp_path)
    assert WAIT_GRACE_SECONDS < clock[0] < WAIT_GRACE_SECONDS + 2
