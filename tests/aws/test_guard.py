"""The guard of the cache under the real engine: refused until it is allowed."""

from __future__ import annotations

import json
from pathlib import Path

from harness.cloud.aws import service
from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import Configuration
from harness.cloud.stack import CloudStack

ALLOWED = {"aws.allowReplacement": "true"}


LOSSES: tuple[tuple[Configuration, str], ...] = (
    ({"port": "7000"}, "would be replaced and its data lost, because of port"),
    ({"version": "8.1"}, "a downgrade from 9.0 to 8.1 would replace the cache"),
    ({"topology": "cluster"}, "cluster mode cannot be changed in place"),
    ({"topology": "serverless", "port": "6379"}, "the resource that has the data now would be deleted"),
)
"""One after another; previews are tried by the scenarios of test_changes."""


def test_what_would_lose_data_is_refused_until_it_is_allowed(stack: CloudStack) -> None:
    configuration = MINIMAL | {"version": "9.0"}
    stack.configure(configuration)
    assert stack.up().succeeded
    for change, reason in LOSSES:
        configuration |= change
        stack.configure(configuration)
        refused = stack.up()
        assert not refused.succeeded
        assert reason in refused.said
        assert "pulumi config set --path aws.allowReplacement true" in refused.said
        assert "Traceback" not in refused.said
        stack.configure(configuration | ALLOWED)
        done = stack.up()
        assert done.succeeded, done.said
        replaced = {step.operation for step in done.steps if step.kind in service.HOLDING}
        assert replaced - {"update"}, "the cache was changed in place"


def test_a_newer_version_by_aws_itself_is_not_taken_back(stack: CloudStack, existing: Path) -> None:
    stack.configure(MINIMAL | {"version": "8.0"})
    assert stack.up().succeeded
    existing.write_text(json.dumps({"valkey-test": {"engineVersion": "8.1"}}))
    refused = stack.up("--refresh")
    assert not refused.succeeded
    assert "would be replaced and its data lost" in refused.said
    stack.configure(MINIMAL | {"version": "8.1"})
    agreed = stack.up("--refresh")
    assert agreed.succeeded, agreed.said
    assert not [step for step in agreed.steps if step.kind in service.HOLDING and step.operation != "update"]


def test_production_is_protected(stack: CloudStack) -> None:
    prod = MINIMAL | {"environment": "prod", "aws.kmsKey": "own"}
    stack.configure(prod)
    assert stack.up().succeeded
    protected = {resource["type"] for resource in stack.project.resources() if resource.get("protect")}
    assert protected == {service.GROUP, "aws:kms/key:Key"}
    destroyed = stack.destroy()
    assert not destroyed.succeeded
    assert "protect" in destroyed.said
    stack.configure(prod | {"port": "7000"} | ALLOWED)
    refused = stack.up()
    assert not refused.succeeded, "allowReplacement does not replace a protected cache"
    assert "protect" in refused.said
    stack.configure(prod | {"port": "7000", "environment": "dev"} | ALLOWED)
    replaced = stack.up()
    assert replaced.succeeded, replaced.said
    assert [step for step in replaced.steps if step.kind in service.HOLDING]
