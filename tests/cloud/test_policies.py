"""What the cloud targets make keeps the policy pack's rules; what was opened on purpose is named."""

from __future__ import annotations

import pytest

from harness.cloud.aws import configurations as on_aws
from harness.cloud.gcp import configurations as on_gcp
from infra.policy.policies import POLICIES, CheckedResource
from tests.aws import recorded as aws
from tests.cloud.recording import Recorder
from tests.gcp import recorded as gcp

PROD = {"environment": "prod"}


def violated(recorder: Recorder) -> set[str]:
    """By a stack in prod. The recording doesn't tell of `protect`; the engine's tests do."""
    subjects = [CheckedResource(made.kind, made.inputs, is_protected=True, is_prod=True) for made in recorder.recorded]
    return {policy.name for policy in POLICIES for subject in subjects if list(policy.check(subject))}


@pytest.mark.parametrize("name", on_aws.TOPOLOGIES)
def test_the_aws_target_keeps_every_policy(name: str) -> None:
    assert violated(aws.DeployedAws.of(PROD | on_aws.TOPOLOGIES[name]).recorder) == set()


@pytest.mark.parametrize("name", sorted(set(on_gcp.TOPOLOGIES) - {"open"}))
def test_the_gcp_target_keeps_every_policy(name: str) -> None:
    assert violated(gcp.DeployedGcp.of(PROD | on_gcp.TOPOLOGIES[name]).recorder) == set()


def test_an_instance_that_was_opened_on_purpose_is_named() -> None:
    made = gcp.DeployedGcp.of(on_gcp.TOPOLOGIES["open"]).recorder
    assert violated(made) == {"authentication", "encryption-in-transit", "protection-in-prod"}
