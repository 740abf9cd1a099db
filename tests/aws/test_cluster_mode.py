"""Cluster mode is enabled in place: the group in its two updates, and what clients get."""

from __future__ import annotations

import itertools

from harness.cloud.aws import service
from tests.aws.recorded import DeployedAws
from tests.cloud.change_scenarios import steps_between

BEFORE = {"topology": "replicated", "replicas": "1", "environment": "prod"}
COMPATIBLE = BEFORE | {"aws.enableClusterMode": "true"}
ENABLED = COMPATIBLE | {"topology": "cluster", "shards": "1"}


def test_the_group_is_updated_twice_and_never_replaced() -> None:
    groups = [DeployedAws.of(step) for step in (BEFORE, COMPATIBLE, ENABLED)]
    modes = [deployed.one(service.GROUP)["clusterMode"] for deployed in groups]
    assert modes == ["disabled", "compatible", "enabled"]
    names = [deployed.one(service.GROUP)["parameterGroupName"] for deployed in groups]
    assert names == ["valkey-test-valkey9", *["valkey-test-valkey9-cluster"] * 2]
    for before, after in itertools.pairwise(groups):
        steps = steps_between(before.recorder.recorded, after.recorder.recorded, service.replaces)
        assert {step.operation for step in steps if step.kind in service.HOLDING} == {"update"}
        assert not after.recorder.requests[service.GROUP, "cache"].replaceOnChanges
        assert after.one(service.GROUP)["applyImmediately"], "the second update needs the end of the first"


def test_clients_get_both_endpoints_until_they_use_the_cluster_protocol() -> None:
    compatible, enabled = DeployedAws.of(COMPATIBLE), DeployedAws.of(ENABLED)
    assert compatible.endpoint.topology == "replicated"
    assert compatible.outputs["configurationEndpoint"].startswith("clustercfg.valkey-test.")
    assert enabled.endpoint.nodes[0].host == compatible.outputs["configurationEndpoint"]
    assert "configurationEndpoint" not in enabled.outputs
