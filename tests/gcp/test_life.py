"""A stack's life under the real engine, with the fake provider for Google: up, no change, refresh, destroy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import parse

from harness.cloud.config_strategies import Configuration
from harness.cloud.gcp import answers, fresh_project
from harness.cloud.gcp.configurations import FURTHER, KEY, MEMBERS, MINIMAL, SHARED
from harness.cloud.stack import CloudStack
from infra.targets.gcp.waiting_notes import CREATION_NOTE
from tests.support.secret_scan import absent_from_text

THEIRS = "projects/host-project/locations/europe-west3/serviceConnectionPolicies/theirs"
EXISTING = {"gcp.network": SHARED["gcp.network"], "gcp.connectionPolicy": THEIRS}


def make_policy(resources: Path, network: str = "shared", service: str = "gcp-memorystore") -> None:
    """By hand, as the network's administrator would; the API answers with the project's number."""
    inputs = {
        "project": "host-project",
        "location": "europe-west3",
        "name": "theirs",
        "network": f"projects/123/global/networks/{network}",
        "serviceClass": service,
        "pscConfig": {"subnetworks": ["projects/123/regions/europe-west3/subnetworks/a"]},
    }
    resources.write_text(json.dumps({THEIRS: {"kind": answers.POLICY, "inputs": inputs}}))


def stored(resources: Path, kind: str) -> list[dict[str, Any]]:
    return [known["inputs"] for known in json.loads(resources.read_text()).values() if known["kind"] == kind]


@pytest.mark.parametrize(
    "configuration",
    [
        {"topology": "replicated"} | MEMBERS,
        {"topology": "cluster", "workload": "queue", "gcp.kmsKey": KEY, "restoreFrom": "gs://dumps/a.rdb"}
        | SHARED
        | FURTHER,
    ],
    ids=["replicated", "cluster"],
)
def test_up_and_again_and_down(stack: CloudStack, resources: Path, configuration: Configuration) -> None:
    stack.configure(MINIMAL | configuration)
    planned = stack.preview()
    assert planned.succeeded, planned.said
    first = stack.up()
    assert first.succeeded, first.said
    assert CREATION_NOTE in first.said
    again = stack.up("--refresh", "--expect-no-changes")
    assert again.succeeded, again.steps
    assert CREATION_NOTE not in again.said
    outputs = stack.outputs()
    endpoint = Endpoint.from_dict(outputs["endpoint"])
    assert (endpoint.target, endpoint.tls, endpoint.version) == ("gcp", True, "9.0")
    assert outputs["env"]["VALKEY_CA"] == endpoint.ca
    assert endpoint.ca is not None
    assert endpoint.ca.count("BEGIN CERTIFICATE") == len(answers.CERTIFICATES)
    _assert_no_login(outputs, stack)
    (version,) = stored(resources, answers.SECRET_VERSION)
    assert json.loads(version["secretData"])["url"] == outputs["url"]
    assert stack.destroy().succeeded
    assert stack.project.resources() == []
    assert json.loads(resources.read_text()) == {}


def _assert_no_login(outputs: dict[str, Any], stack: CloudStack) -> None:
    """No password and no token is stored anywhere: a client signs when it connects."""
    for name in ("url", "adminUrl", "monitorUrl"):
        assert parse(outputs[name]).password is None
    exported = stack.project.pulumi("stack", "export", "--show-secrets").stdout
    absent_from_text(["ya29.", "PRIVATE KEY", "access_token"], exported, "the state")


OTHERS = (
    ({"network": "another"}, "is for projects/123/global/networks/another, not for"),
    ({"service": "gcp-memorystore-redis"}, "is for gcp-memorystore-redis"),
)
"""Policies of other owners, and the messages about them."""


def test_a_policy_of_something_else_is_refused_in_the_preview(stack: CloudStack, resources: Path) -> None:
    stack.configure(MINIMAL | EXISTING)
    for policy, reason in OTHERS:
        make_policy(resources, **policy)
        planned = stack.preview()
        assert not planned.succeeded
        assert reason in planned.said
        assert "Traceback" not in planned.said


def test_a_second_policy_of_the_network_is_googles_to_refuse_and_the_first_one_is_used_and_left(
    stack: CloudStack, resources: Path
) -> None:
    make_policy(resources)
    stack.configure(MINIMAL | SHARED)
    done = stack.up()
    assert not done.succeeded
    assert "the network has a policy for gcp-memorystore in this region" in done.said
    assert stored(resources, answers.INSTANCE) == []
    stack.configure(MINIMAL | EXISTING)
    repaired = stack.up()
    assert repaired.succeeded, repaired.said
    assert len(stored(resources, answers.POLICY)) == 1
    assert stack.destroy().succeeded
    assert list(json.loads(resources.read_text())) == [THEIRS]


def test_an_allowed_replacement_moves_to_another_network(stack: CloudStack, resources: Path) -> None:
    stack.configure(MINIMAL | SHARED)
    assert stack.up().succeeded
    other = {key: value.replace("shared", "other") for key, value in SHARED.items()}
    stack.configure(MINIMAL | other)
    refused = stack.up()
    assert not refused.succeeded
    assert "would be replaced and its data lost, because of" in refused.said
    stack.configure(MINIMAL | other | {"gcp.allowReplacement": "true"})
    done = stack.up()
    assert done.succeeded, done.said
    (instance,) = stored(resources, answers.INSTANCE)
    assert instance["desiredAutoCreatedEndpoints"][0]["network"] == other["gcp.network"]
    assert [policy["network"] for policy in stored(resources, answers.POLICY)] == [other["gcp.network"]]


def test_the_stack_s_own_network_does_not_move(stack: CloudStack, resources: Path) -> None:
    stack.configure(MINIMAL)
    assert stack.up().succeeded
    before = json.loads(resources.read_text())
    for key, value in (("gcp.location", "us-east1"), ("gcp.subnetCidr", "10.62.0.0/24")):
        stack.configure(MINIMAL | {key: value, "gcp.allowReplacement": "true"})
        refused = stack.preview()
        assert not refused.succeeded
        assert "the stack's own network cannot move to another" in refused.said
    assert json.loads(resources.read_text()) == before


def test_a_fresh_project_needs_one_update(stack: CloudStack, resources: Path) -> None:
    """Nothing is enabled there yet."""
    resources.write_text(json.dumps(fresh_project.fresh("my-project")))
    stack.configure(MINIMAL | MEMBERS | {"gcp.kmsKey": KEY, "gcp.alertEmails": "ops@example.org"})
    done = stack.up()
    assert done.succeeded, done.said
    assert len(stored(resources, answers.MEMBER)) == 4


def test_production_is_deleted_only_by_the_documented_way(stack: CloudStack, resources: Path) -> None:
    configuration = MINIMAL | SHARED | {"environment": "prod"}
    stack.configure(configuration)
    assert stack.up().succeeded
    refused = stack.destroy()
    assert not refused.succeeded
    assert "protected" in refused.said
    stack.configure(configuration | {"gcp.deletionProtection": "false"})
    assert stack.up().succeeded
    assert stack.project.pulumi("state", "unprotect", "--all", "--yes").returncode == 0
    assert stack.destroy().succeeded
    assert json.loads(resources.read_text()) == {}


def test_an_abandoned_deployment_stays_in_google(stack: CloudStack, resources: Path) -> None:
    configuration = MINIMAL | MEMBERS
    stack.configure(configuration)
    assert stack.up().succeeded
    stack.configure(configuration | {"gcp.deletionPolicy": "abandon"})
    assert stack.up().succeeded
    assert stack.destroy().succeeded
    assert stack.project.resources() == []
    kinds = (answers.INSTANCE, answers.NETWORK, answers.SUBNETWORK, answers.POLICY, answers.ACL)
    assert [len(stored(resources, kind)) for kind in kinds] == [1] * len(kinds)
    assert len(stored(resources, answers.MEMBER)) == 4
    assert stored(resources, answers.SECRET) == stored(resources, answers.ALERT) == []


def test_a_source_may_be_dropped_after_the_creation(stack: CloudStack, resources: Path) -> None:
    stack.configure(MINIMAL | SHARED | {"restoreFrom": "gs://dumps/a.rdb"})
    assert stack.up().succeeded
    stack.configure(MINIMAL | SHARED)
    done = stack.up()
    assert done.succeeded, done.said
    assert not [step for step in done.steps if step.kind == answers.INSTANCE]
    stack.configure(MINIMAL | SHARED | {"restoreFrom": "gs://dumps/b.rdb"})
    refused = stack.preview()
    assert "would be replaced and its data lost, because of gcsSource" in refused.said
    assert stored(resources, answers.INSTANCE)[0]["gcsSource"] == {"uris": ["gs://dumps/a.rdb"]}
