"""While servers aren't healthy, the driver reports what they wait for."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from harness.docker import make_spec
from infra.drivers.docker import repair
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.reasons import WAIT_GRACE_SECONDS, Reason
from infra.drivers.topology.executor import NodeAddress
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


def wait(
    monkeypatch: pytest.MonkeyPatch,
    clock: list[float],
    healthy_after: float,
    folder: Path,
    grace_seconds: float = WAIT_GRACE_SECONDS,
) -> None:
    """For a node that reports why it waits, and is healthy after some seconds."""

    def slow(_self: ContainerDeployment, services: Any) -> dict[str, Any]:
        return {name: {**STARTING, "RestartCount": 0} for name in services} if clock[0] < healthy_after else {}

    monkeypatch.setattr(ContainerDeployment, "_not_healthy", slow)
    reason = Reason("node-1 holds more", grace_seconds)
    monkeypatch.setattr(ContainerDeployment, "reason", lambda _self, _service: reason)
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


@pytest.mark.parametrize(("seconds", "reports"), [(60, 0), (90, 1)])
def test_a_cluster_that_is_being_formed_is_reported_if_it_takes_long(
    *,
    seconds: float,
    reports: int,
    monkeypatch: pytest.MonkeyPatch,
    clock: list[float],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wait(monkeypatch, clock, seconds, tmp_path, grace_seconds=float("inf"))
    assert len(caplog.messages) == reports


def test_a_node_that_waits_too_long_ends_it(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    with pytest.raises(ProvisioningError, match=r"^node-0 did not start: node-1 holds more"):
        wait(monkeypatch, clock, 300, tmp_path)
    assert WAIT_GRACE_SECONDS < clock[0] < WAIT_GRACE_SECONDS + 2


def test_a_node_that_waits_is_reported_before_the_keeper_that_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    def reason(_self: ContainerDeployment, service: str) -> Reason:
        if service == "keeper":
            return Reason("node-0 does not respond", float("inf"), state="is unhealthy")
        return Reason("it is damaged, and node-1 does not respond", WAIT_GRACE_SECONDS, "make repair")

    unhealthy = {**STARTING["State"], "Health": {"Status": "unhealthy"}}
    facts = {"keeper": {"State": unhealthy, "RestartCount": 0}, "node-0": {**STARTING, "RestartCount": 0}}
    monkeypatch.setattr(ContainerDeployment, "_not_healthy", lambda _self, _services: facts)
    monkeypatch.setattr(ContainerDeployment, "reason", reason)
    spec = make_spec(tmp_path, "cluster")
    servers = ContainerDeployment(spec.engine, spec.plan, spec.secrets)
    begin = clock[0]
    with pytest.raises(ProvisioningError, match=r"^node-0 did not start: it is damaged.* -> make repair"):
        servers._wait_until_healthy(["keeper", "node-0"])
    assert clock[0] - begin > WAIT_GRACE_SECONDS
    del facts["node-0"]
    with pytest.raises(ProvisioningError, match=r"^keeper is unhealthy: node-0 does not respond"):
        servers._wait_until_healthy(["keeper"])


@pytest.mark.parametrize(
    ("reason", "is_rejected"),
    [
        (Reason("its volume has data of web, not of shop", 8, "give it its own volume"), True),
        (Reason("its volume is read-only", 8, "mount it for writing"), True),
        (
            Reason("its data was written by Valkey 10.0.0, a newer version than 9", 8, "pulumi config set version"),
            False,
        ),
        (Reason("it is damaged after byte 12", 8, "make repair STACK=shop NODE=node-0"), False),
        (Reason("no other member responds", 75), False),
        (None, False),
    ],
)
def test_a_node_that_needs_another_fix_is_not_repaired(
    reason: Reason | None, is_rejected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ContainerDeployment, "reason", lambda _self, _service: reason)
    spec = make_spec(tmp_path, "single")
    node = NodeAddress("node-0", "10.0.0.10", 7000)
    with (
        pytest.raises(ProvisioningError, match=r"^node-0 can't be repaired: its volume .* -> ")
        if is_rejected
        else (contextlib.nullcontext())
    ):
        repair._reject_other_fix(ContainerDeployment(spec.engine, spec.plan, spec.secrets), node)
