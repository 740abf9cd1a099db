"""A primary is cut off from the network under writes, for longer than the others wait, and is connected again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.docker import DeploymentHarness, make_spec, running
from harness.waiting import wait_until
from infra.drivers.topology.executor import info
from infra.hardening import Topology
from tests.docker.test_damage import _held_by_others, _wait_until_healthy
from tests.docker.totals import totals
from tests.support.traffic import Traffic

CUT_OFF_SECONDS = 20.0
"""Sentinels wait 3 s, the nodes of a cluster 5 s."""


@pytest.mark.thorough
@pytest.mark.parametrize("topology", ["replicated", "cluster"])
def test_a_partition_loses_nothing_that_another_node_has(topology: Topology, tmp_path: Path) -> None:
    with running(make_spec(tmp_path, topology)) as harness:
        with Traffic(harness.client, wait=1) as confirmed, Traffic(harness.client, wait=0) as hasty:
            confirmed.wait_for(50)
            hasty.wait_for(200)
            victim = harness.primary()
            _disconnect(harness, victim)
            cut = time.monotonic()
            sent, held = dict(hasty.acknowledged), _held_by_others(harness, hasty, victim)
            wait_until(lambda: len(_primaries(harness, victim)) == harness.spec.plan.shards, 300)
            hasty.wait_for(200)
            time.sleep(max(0.0, cut + CUT_OFF_SECONDS - time.monotonic()))
            _connect(harness, victim)
            _wait_until_healthy(harness)
            confirmed.wait_for(50)
            hasty.wait_for(50)
        harness.ensure()
        harness.assert_healthy()
        # Without WAIT the others need not have had the last writes.
        required = {key: min(number, held.get(key, -1)) for key, number in sent.items()}
        lost = {**confirmed.lost(confirmed.acknowledged), **hasty.lost(required)}
        case = f"{topology} primary, cut off for {CUT_OFF_SECONDS:.0f} s"
        totals.add(case, confirmed.count, hasty.count, len(lost))
        assert not lost, case


def _primaries(harness: DeploymentHarness, victim: str) -> list[str]:
    """Those of the other nodes that are primaries."""
    executor, nodes = harness.deployment.executor, harness.deployment.plan.nodes
    others = [node.name for node in nodes if node.name != victim]
    return [name for name in others if info(executor, name, "replication")["role"] == "master"]


def _network(harness: DeploymentHarness) -> str:
    return f"{harness.spec.plan.project}_default"


def _disconnect(harness: DeploymentHarness, node: str) -> None:
    """Its published port is gone too."""
    harness.spec.engine.docker("network", "disconnect", _network(harness), harness.deployment.container(node))


def _connect(harness: DeploymentHarness, node: str) -> None:
    (address,) = (member.host for member in harness.deployment.plan.nodes if member.name == node)
    container = harness.deployment.container(node)
    harness.spec.engine.docker("network", "connect", "--ip", address, _network(harness), container)
