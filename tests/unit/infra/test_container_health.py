"""While servers aren't healthy, the driver reports what they wait for."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.docker import make_spec
from infra.drivers.docker import reasons, repair
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.reasons import WAIT_GRACE_SECONDS, Reason
from infra.drivers.topology.node_executor import NodeAddress
from infra.errors import ProvisioningError
from infra.hardening import Topology

STARTING = {"State": {"Running": True, "Restarting": False, "Status": "running", "Health": {"Status": "starting"}}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def created(folder: Path, topology: Topology = "replicated") -> ContainerDeployment:
    spec = make_spec(folder, topology)
    plan = replace(spec.plan, project="valkey-web", ports=tuple(range(7000, 7006)))
    return ContainerDeployment(spec.engine, plan, spec.secrets)


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
    reason = Reason("node-1 holds more", grace_seconds, is_wait=True)
    monkeypatch.setattr(ContainerDeployment, "reason", lambda _self, _service: reason)
    created(folder)._wait_until_healthy(["node-0"])


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
    """The error has the node, the cause that it reports itself, and the command for it."""
    logs = "docker logs valkey-web-node-1-1, then make up"
    with pytest.raises(ProvisioningError, match=rf"^node-0 did not start: node-1 holds more -> {logs}$"):
        wait(monkeypatch, clock, 300, tmp_path)
    assert WAIT_GRACE_SECONDS < clock[0] < WAIT_GRACE_SECONDS + 2


@pytest.mark.parametrize(
    ("cause", "rest", "fix"),
    [
        (
            "no majority of the Sentinels names a primary",
            "",
            "docker logs valkey-web-sentinel-0-1, then make up",
        ),
        ("these members do not respond: node-2, node-1", "", "docker logs valkey-web-node-2-1, then make up"),
        (
            "no other member responds: node-2, node-1",
            "; repair it: make repair NODE=node-0",
            "make repair STACK=web NODE=node-0",
        ),
        ("its files can't be set aside", " -> free space on its volume", "free space on its volume"),
    ],
)
def test_the_error_about_a_node_that_waits_has_its_cause_and_a_command(
    *, cause: str, rest: str, fix: str, monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    facts = {"node-0": {**STARTING, "RestartCount": 0}}
    reason = reasons.find(f"wait: {cause}{rest}", "", "make repair STACK=web NODE=node-0")
    monkeypatch.setattr(ContainerDeployment, "_not_healthy", lambda _self, _services: facts)
    monkeypatch.setattr(ContainerDeployment, "reason", lambda _self, _service: reason)
    with pytest.raises(ProvisioningError) as caught:
        created(tmp_path)._wait_until_healthy(["node-0"])
    assert str(caught.value) == f"node-0 did not start: {cause} -> {fix}"
    assert clock[0] < WAIT_GRACE_SECONDS + 2


def test_a_node_waits_for_one_that_is_loading_its_data(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    """However long that takes; then its own time begins."""
    loaded_after = 600.0

    def slow(_self: ContainerDeployment, services: Any) -> dict[str, Any]:
        loading = [] if clock[0] > loaded_after else ["node-1"]
        return {name: {**STARTING, "RestartCount": 0} for name in services if name in ["node-0", *loading]}

    def reason(_self: ContainerDeployment, service: str) -> Reason | None:
        return Reason("node-1 does not respond", WAIT_GRACE_SECONDS, is_wait=True) if service == "node-0" else None

    monkeypatch.setattr(ContainerDeployment, "_not_healthy", slow)
    monkeypatch.setattr(ContainerDeployment, "reason", reason)
    with pytest.raises(ProvisioningError, match=r"^node-0 did not start: node-1 does not respond"):
        created(tmp_path)._wait_until_healthy(["node-0", "node-1"])
    assert loaded_after + WAIT_GRACE_SECONDS < clock[0] < loaded_after + WAIT_GRACE_SECONDS + 5


def test_a_container_that_failed_to_start_starts_again_with_its_complete_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The engine would start it only up to a minute later, and it would count as failed until then."""
    states = {"node-0": {**STARTING["State"], "Restarting": True}, "node-1": STARTING["State"]}
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(ContainerDeployment, "_facts", lambda _self: {name: {"State": states[name]} for name in states})
    monkeypatch.setattr(ContainerDeployment, "compose", lambda _self, *command: commands.append(command))
    created(tmp_path).restart_failed()
    assert commands == [("restart", "--no-deps", "node-0")]
    states["node-0"] = STARTING["State"]
    created(tmp_path).restart_failed()
    assert len(commands) == 1


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
    servers = created(tmp_path, "cluster")
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
