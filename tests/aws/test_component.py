"""The component on aws: the resources of existing stacks, and several instances in one program."""

from __future__ import annotations

import json

import pulumi
import pytest
from pulumi_aws import Provider

from harness.cloud.aws.configurations import MINIMAL, TOPOLOGIES
from harness.cloud.config_strategies import load
from infra.arguments import ValkeyArgs
from infra.component import Valkey
from tests.aws.recorded import CALLS, RESOURCES, DeployedAws
from tests.cloud import URNS
from tests.cloud.recording import Recorder, record

EXISTING: dict[str, list[str]] = json.loads((URNS / "aws.json").read_text())
"""The resources of stacks from before the component could be used in other programs."""


@pytest.mark.parametrize("configuration", EXISTING)
def test_a_stack_keeps_its_resources(configuration: str) -> None:
    assert DeployedAws.of(TOPOLOGIES[configuration]).recorder.names() == EXISTING[configuration]


def test_every_name_is_derived_from_the_instances() -> None:
    resources = DeployedAws(load(MINIMAL | TOPOLOGIES["everything"]), "valkey/test/cache").recorder.recorded
    others = [resource.name for resource in resources if not resource.name.startswith("cache-")]
    assert others == ["rotation"]


def test_several_instances_use_the_callers_provider() -> None:
    """The recorder, like the engine, rejects two resources with one name."""

    def program() -> pulumi.Output[object]:
        provider = Provider("mine", region="eu-central-1")
        options = pulumi.ResourceOptions(provider=provider)
        cache = Valkey("cache", ValkeyArgs(target="aws", workload="cache", aws={"region": "eu-central-1"}), options)
        queue = Valkey("queue", ValkeyArgs(target="aws", workload="queue", aws={"region": "eu-central-1"}), options)
        return pulumi.Output.all(cache.endpoint, queue.endpoint)

    recorder = Recorder(RESOURCES, CALLS)
    cache, queue = record(recorder, program)
    assert cache["nodes"] != queue["nodes"]
    assert [provider.name for provider in recorder.of("pulumi:providers:aws")] == ["mine"]
    groups = recorder.of("aws:elasticache/replicationGroup:ReplicationGroup")
    assert sorted(group.inputs["replicationGroupId"] for group in groups) == ["valkey-test-cache", "valkey-test-queue"]
    assert sorted(group.inputs["tags"]["Stack"] for group in groups) == ["test/cache", "test/queue"]
