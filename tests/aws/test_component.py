"""The component on aws: the resources of existing stacks, and several instances in one program."""

from __future__ import annotations

import json
from typing import Literal

import pulumi
import pytest
from pulumi_aws import Provider

from harness.cloud.aws.configurations import MINIMAL, TOPOLOGIES
from harness.cloud.config_strategies import load
from infra.arguments import ValkeyArgs
from infra.component import Valkey
from infra.hardening import Topology
from tests.aws.recorded import CALLS, RESOURCES, DeployedAws
from tests.cloud import URNS
from tests.cloud.recording import Recorder, record

RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"

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


def test_a_provider_of_another_region_is_rejected() -> None:
    def program() -> None:
        options = pulumi.ResourceOptions(provider=Provider("mine", region="eu-west-1"))
        Valkey("cache", ValkeyArgs(target="aws", aws={"region": "eu-central-1"}), options)

    elsewhere = {**CALLS, "aws:index/getRegion:getRegion": lambda _token, _arguments: {"region": "eu-west-1"}}
    recorder = Recorder(RESOURCES, elsewhere)
    with pytest.raises(pulumi.RunError) as error:
        record(recorder, program)
    expected = "aws.region is eu-central-1, the region of the provider is eu-west-1 -> set aws.region to eu-west-1"
    assert str(error.value) == f"Valkey 'cache': {expected}"
    assert {kind for kind, _ in recorder.requests} == {"pulumi:providers:aws"}


@pytest.mark.parametrize("topology", ["single", "serverless"])
def test_grants(topology: Topology) -> None:
    def program() -> None:
        args = ValkeyArgs(target="aws", topology=topology, aws={"region": "eu-central-1", "auth": "iam"})
        cache = Valkey("cache", args)
        cache.allow_security_group("web", pulumi.Output.from_input("sg-7"))
        cache.attach_connect_policy("web", pulumi.Output.from_input("web"), user="monitor")

    recorder = Recorder({**RESOURCES, ATTACHMENT: lambda _name, _inputs: {}}, CALLS)
    record(recorder, program)
    rules = {rule.name: rule.inputs for rule in recorder.of(RULE) if "grant" in rule.name}
    ports = [6379] if topology == "single" else [6379, 6380]
    assert rules.keys() == {f"cache-grant-web-{port}" for port in ports}
    assert {(rule["securityGroupId"], rule["referencedSecurityGroupId"]) for rule in rules.values()} == {
        ("cache-servers-id", "sg-7")
    }
    assert [rules[f"cache-grant-web-{port}"]["fromPort"] for port in ports] == ports
    attachment = recorder.one(ATTACHMENT)
    assert attachment.inputs["role"] == "web"
    assert attachment.inputs["policyArn"].endswith("cache-connect-monitor")
    assert f"{ATTACHMENT}::cache-grant-web below valkey:index:Valkey::cache" in recorder.names()


@pytest.mark.parametrize(
    ("auth", "user", "expected"),
    [
        ("password", "app", "connect policies exist with IAM authentication only, but aws.auth is password"),
        ("iam", "web", "the user 'web' does not exist -> use one of app, admin, monitor"),
    ],
)
def test_a_role_that_cannot_log_in_is_rejected(auth: Literal["password", "iam"], user: str, expected: str) -> None:
    def program() -> None:
        args = ValkeyArgs(target="aws", aws={"region": "eu-central-1", "auth": auth})
        Valkey("cache", args).attach_connect_policy("web", "web", user)

    with pytest.raises(pulumi.RunError) as error:
        record(Recorder(RESOURCES, CALLS), program)
    assert f"Valkey 'cache': {expected}" in str(error.value)
