"""Arguments of the component that are outputs of other resources, on aws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pulumi
import pytest

from infra.arguments import ValkeyArgs
from infra.component import Valkey
from infra.hardening import Topology
from infra.output_arguments import PLACEHOLDERS
from infra.section_arguments import AwsArgs
from tests.aws.recorded import CALLS, PASSWORD, RESOURCES, SUBNETS, VPC
from tests.cloud.recording import Inputs, Recorder, record, unknown

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"
NETWORK = {"vpcId": VPC, "subnetIds": list(SUBNETS)}
CASES: Mapping[str, tuple[Topology, dict[str, Any]]] = {
    "a network and keys": (
        "replicated",
        {**NETWORK, "securityGroups": ["sg-1", "sg-2"], "kmsKey": KEY, "logKmsKey": KEY, "topicKmsKey": KEY},
    ),
    "a subnet group, a topic and a hosted zone": (
        "single",
        {
            "subnetGroup": "mine",
            "topicArn": "arn:aws:sns:eu-central-1:123456789012:alerts",
            "hostedZone": "Z0123456789ABCDEFGHIJ",
        },
    ),
    "a serverless cache": ("serverless", {**NETWORK, "securityGroups": ["sg-1"], "kmsKey": KEY}),
}

Section = Mapping[str, Any]


def arguments(topology: Topology, section: Section) -> ValkeyArgs:
    named = {"dnsName": "valkey.example.org"} if "hostedZone" in section else {}
    section = {"region": "eu-central-1", **named, **section}
    return ValkeyArgs(target="aws", topology=topology, aws=cast(AwsArgs, section))


def deploy(topology: Topology, section: Callable[[], Section], *, preview: bool = False) -> Recorder:
    """The resources of a component; the section is created in the program."""

    def program() -> pulumi.Output[Any]:
        return Valkey("cache", arguments(topology, section())).endpoint

    recorder = Recorder(RESOURCES, CALLS)
    record(recorder, program, preview=preview)
    return recorder


def inputs(recorder: Recorder) -> dict[str, Inputs]:
    """By resource; a final snapshot's name is derived from the arguments, and not from values that are known later."""
    named = {f"{resource.kind} {resource.name}": resource.inputs for resource in recorder.recorded}
    return {
        name: {key: value for key, value in given.items() if key != "finalSnapshotIdentifier"}
        for name, given in named.items()
        if "final-snapshot" not in name
    }


def as_outputs(section: Section) -> Section:
    return {
        key: pulumi.Output.from_input(value) if f"aws.{key}" in PLACEHOLDERS else value
        for key, value in section.items()
    }


def with_outputs_in_lists(section: Section) -> Section:
    """Each value of a list is that of another resource, as with a list of subnets."""
    return {
        key: [pulumi.Output.from_input(item) for item in value]
        if isinstance(value, list)
        else pulumi.Output.from_input(value)
        for key, value in section.items()
    }


def test_every_value_that_may_be_an_output_is_covered() -> None:
    covered = {f"aws.{key}" for _, section in CASES.values() for key in section}
    assert covered == {key for key in PLACEHOLDERS if key.startswith("aws.")}


@pytest.mark.parametrize("convert", [as_outputs, with_outputs_in_lists])
@pytest.mark.parametrize("case", CASES)
def test_outputs_are_passed_on_as_plain_values_are(case: str, convert: Callable[[Section], Section]) -> None:
    topology, section = CASES[case]
    recorder = deploy(topology, lambda: convert(section))
    assert inputs(recorder) == inputs(deploy(topology, lambda: section))
    assert "0badc0de" not in str(recorder.recorded).lower()


def test_another_key_is_another_name_of_the_final_snapshot() -> None:
    """AWS does not delete a group if a snapshot of that name exists."""

    def password(key: str) -> Inputs:
        recorder = deploy("single", lambda: {"kmsKey": pulumi.Output.from_input(key)})
        (found,) = [entry.inputs for entry in recorder.of(PASSWORD) if "final-snapshot" in entry.name]
        return found

    assert password(KEY)["rotation"] != password(KEY.replace("1234", "5678"))["rotation"]


@pytest.mark.parametrize("case", CASES)
def test_a_preview_with_unknown_values(case: str) -> None:
    """Every resource is previewed, without these values."""
    topology, section = CASES[case]
    recorder = deploy(topology, lambda: dict.fromkeys(section, unknown()), preview=True)
    assert inputs(recorder).keys() == inputs(deploy(topology, lambda: section)).keys()
    assert "0badc0de" not in str(recorder.recorded).lower()


REJECTED: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "several values": (
        {"vpcId": "vpc", "subnetIds": ["sub"], "kmsKey": KEY},
        ["Valkey 'cache': 2 configuration errors; nothing was changed:", "  aws.vpcId is 'vpc', expected an id such "],
    ),
    "a key of another region": (
        {"kmsKey": KEY.replace("central", "west")},
        ["aws.kmsKey is in eu-west-1, the stack is in eu-central-1 -> leave out aws.kmsKey"],
    ),
    "a subnet of another VPC": (
        {"vpcId": VPC, "subnetIds": ["subnet-abc"]},
        [f"Valkey 'cache': aws.subnetIds: subnet-abc are not in {VPC} -> set aws.vpcId to vpc-0f0f"],
    ),
    "a hosted zone of other names": (
        {"hostedZone": "Z0123456789ABC", "dnsName": "valkey.example.net"},
        ["names in the hosted zone Z0123456789ABC end with .example.org -> set aws.dnsName to valkey.example.org"],
    ),
    "nothing": ({"kmsKey": ""}, ["aws.kmsKey is '', which decides which resources exist, and was an Output"]),
    "a new key": ({"kmsKey": "own"}, ["aws.kmsKey is 'own', which decides which resources exist"]),
}


@pytest.mark.parametrize("case", REJECTED)
def test_invalid_values_are_rejected_before_a_resource_is_registered(case: str) -> None:
    section, expected = REJECTED[case]
    recorder = Recorder(RESOURCES, CALLS)

    def program() -> None:
        Valkey("cache", arguments("single", as_outputs(section)))

    with pytest.raises(pulumi.RunError) as error:
        record(recorder, program)
    assert [text for text in expected if text not in str(error.value)] == []
    assert {kind for kind, _ in recorder.requests} <= {"pulumi:pulumi:Stack", "pulumi:providers:aws"}
