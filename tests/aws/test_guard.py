"""The guard of the cache under the real engine: refused in a preview and in an update, made when it is allowed."""

from __future__ import annotations

import pytest

from tests.aws import service
from tests.aws.recorded import MINIMAL
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack

ALLOWED = {"aws.allowReplacement": "true"}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({}, {"port": "7000"}, "would be replaced and its data lost, because of port"),
        ({"version": "9.0"}, {"version": "8.1"}, "the version would go back from 9.0 to 8.1"),
        ({}, {"topology": "serverless"}, "what holds the data now would be deleted with it"),
    ],
)
def test_what_would_lose_data_is_refused_until_it_is_allowed(
    stack: CloudStack, before: Configuration, after: Configuration, reason: str
) -> None:
    stack.configure(MINIMAL | before)
    assert stack.up().succeeded
    stack.configure(MINIMAL | before | after)
    for attempt in (stack.preview(), stack.up()):
        assert not attempt.succeeded
        assert reason in attempt.said
        assert "pulumi config set --path valkey:aws.allowReplacement true" in attempt.said
        assert "Traceback" not in attempt.said
    stack.configure(MINIMAL | before | after | ALLOWED)
    done = stack.up()
    assert done.succeeded, done.said
    assert [step for step in done.steps if step.kind in service.HOLDING]


def test_production_is_protected(stack: CloudStack) -> None:
    stack.configure(MINIMAL | {"environment": "prod", "aws.kmsKey": "own"})
    assert stack.up().succeeded
    protected = {resource["type"] for resource in stack.project.resources() if resource.get("protect")}
    assert protected == {service.GROUP, "aws:kms/key:Key"}
    destroyed = stack.destroy()
    assert not destroyed.succeeded
    assert "protect" in destroyed.said
