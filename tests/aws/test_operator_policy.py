"""docs/aws-operator-policy.json: it permits all requests of the program."""

from __future__ import annotations

import os

import botocore.session

from harness.cloud.aws import requests
from harness.cloud.aws.configurations import NAMED, TOPOLOGIES
from harness.cloud.aws.operator_policy import ACTIONS, policy
from stackctl.stack import PROJECT
from tests.aws.recorded import DeployedAws
from tests.cloud.change_scenarios import WRITE

FILE = PROJECT / "docs" / "aws-operator-policy.json"

NOT_IN_API = {"logs": {"CreateLogDelivery", "GetLogDelivery", "ListLogDeliveries", "UpdateLogDelivery"}}
NOT_IN_API["logs"] |= {"DeleteLogDelivery"}
"""Actions without an operation of the same name: of the delivery of logs, which ElastiCache sets up."""


def test_the_document_is_current() -> None:
    if os.environ.get(WRITE):
        FILE.write_text(policy())
    assert FILE.read_text() == policy()
    assert len(policy().replace(" ", "").replace("\n", "")) <= 6144, "the limit of a managed policy"


def test_every_request_of_the_program_is_allowed() -> None:
    for configuration in (*TOPOLOGIES.values(), {"aws.kmsKey": "own"}, {"aws.auth": "iam"}, NAMED):
        for made in DeployedAws.of(configuration).recorder.recorded:
            if made.kind.startswith("aws:"):
                for request in requests.creation(made.kind, made.inputs):
                    assert request.operation in ACTIONS[request.service], made.kind


def test_every_action_exists() -> None:
    session = botocore.session.get_session()
    for prefix, names in ACTIONS.items():
        known = set(session.get_service_model(prefix).operation_names) | NOT_IN_API.get(prefix, set())
        assert set(names) <= known
        assert list(names) == sorted(set(names))


def test_what_is_created_can_be_deleted() -> None:
    for prefix, names in ACTIONS.items():
        for name in names:
            if name.startswith("Create") and name not in {"CreateSnapshot", "CreateServiceLinkedRole", "CreateGrant"}:
                opposite = "ScheduleKeyDeletion" if name == "CreateKey" else name.replace("Create", "Delete")
                assert opposite in names, f"{prefix}:{name}"
