"""The component on gcp: the resources of existing stacks, and several instances in one program."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from harness.cloud.config_strategies import load
from harness.cloud.gcp.configurations import MINIMAL, TOPOLOGIES
from infra.arguments import ValkeyArgs
from infra.component import Valkey
from infra.section_arguments import GcpArgs
from tests.cloud import URNS
from tests.cloud.recording import Recorder, record
from tests.gcp.recorded import RESOURCES, DeployedGcp

EXISTING: dict[str, list[str]] = json.loads((URNS / "gcp.json").read_text())
"""The resources of stacks from before the component could be used in other programs."""


@pytest.mark.parametrize("configuration", EXISTING)
def test_a_stack_keeps_its_resources(configuration: str) -> None:
    assert DeployedGcp.of(TOPOLOGIES[configuration]).recorder.names() == EXISTING[configuration]


@pytest.mark.parametrize("configuration", EXISTING)
def test_every_name_is_derived_from_the_instances(configuration: str) -> None:
    resources = DeployedGcp(load(MINIMAL | TOPOLOGIES[configuration]), "valkey/test/cache").recorder.recorded
    assert [resource.name for resource in resources if not resource.name.startswith("cache-")] == []


def test_several_instances_in_one_program() -> None:
    """The recorder, like the engine, rejects two resources with one name."""
    place: GcpArgs = {"project": "my-project", "location": "europe-west3"}

    def program() -> pulumi.Output[Any]:
        instances = [
            Valkey(workload, ValkeyArgs(target="gcp", version="9.0", workload=workload, gcp=place))
            for workload in ("cache", "queue")
        ]
        return pulumi.Output.all(*[instance.endpoint for instance in instances])

    recorder = Recorder(RESOURCES)
    cache, queue = record(recorder, program)
    assert (cache["workload"], queue["workload"]) == ("cache", "queue")
    created = recorder.of("gcp:memorystore/instance:Instance")
    assert sorted(instance.inputs["instanceId"] for instance in created) == ["valkey-test-cache", "valkey-test-queue"]
    assert sorted(provider.name for provider in recorder.of("pulumi:providers:gcp")) == ["cache-gcp", "queue-gcp"]
