"""Servers that run and do not respond: every wait for them has a limit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.docker import container_executor
from infra.drivers.topology.node_executor import NotRespondingError, is_reachable, wait_until


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("frozen"), "replicated")) as made:
        yield made


def signal(harness: DeploymentHarness, service: str, name: str) -> None:
    container = harness.deployment.container(service)
    harness.spec.engine.docker("exec", container, "sh", "-c", f"kill -{name} $(pidof valkey-server)")


def test_a_frozen_node_does_not_respond(harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_executor, "RESPONSE_TIMEOUT_SECONDS", 2)
    signal(harness, "node-1", "STOP")
    try:
        with pytest.raises(NotRespondingError, match="node-1 doesn't respond: it has not responded for 2 s"):
            harness.deployment.executor.run("node-1", "PING")
    finally:
        signal(harness, "node-1", "CONT")
    assert is_reachable(harness.deployment.executor, "node-1")


def test_a_node_starts_while_a_sentinel_is_frozen(harness: DeploymentHarness) -> None:
    signal(harness, "sentinel-0", "STOP")
    try:
        harness.spec.engine.docker("restart", harness.deployment.container("node-1"))
        wait_until(lambda: is_reachable(harness.deployment.executor, "node-1"), 60, "it waits for the Sentinel")
    finally:
        signal(harness, "sentinel-0", "CONT")
    harness.ensure()
    harness.assert_healthy()
