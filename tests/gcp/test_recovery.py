"""Failures of Google under the real engine, adoption, and changes that take several updates."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.cloud.gcp import answers, faults
from harness.cloud.gcp.configurations import MINIMAL, SHARED
from harness.cloud.stack import CloudStack
from harness.waiting import wait_until
from stackctl import config_change
from tests.gcp.test_life import EXISTING, make_policy, stored

SMALL = MINIMAL | SHARED | {"topology": "replicated", "workload": "cache"}


def fail_once(resources: Path, operation: str, kind: str) -> None:
    resources.write_text(json.dumps(json.loads(resources.read_text()) | faults.once(operation, kind)))


def instance(resources: Path) -> dict[str, Any]:
    (inputs,) = stored(resources, answers.INSTANCE)
    return inputs


@contextlib.contextmanager
def exhausted_quota(resources: Path) -> Iterator[None]:
    """Until the provider has repeated a request."""
    quota = faults.quota(resources)
    quota.touch()

    def raise_it() -> None:
        try:
            wait_until(lambda: quota.stat().st_size, seconds=300)
        finally:
            quota.unlink()

    with ThreadPoolExecutor() as pool:
        raised = pool.submit(raise_it)
        yield
        raised.result()


def test_a_failed_update_is_made_again_after_a_refresh(stack: CloudStack, resources: Path) -> None:
    """The provider leaves the new values in the state, so without a refresh it would send nothing."""
    stack.configure(SMALL)
    assert stack.up().succeeded
    fail_once(resources, "update", answers.INSTANCE)
    stack.configure(SMALL | {"memory": "2gb"})
    failed = stack.up()
    assert not failed.succeeded
    assert faults.ERROR in failed.said
    again = stack.up()
    assert not again.succeeded
    assert "the previous update of instance failed" in again.said
    assert "Traceback" not in again.said
    assert instance(resources)["nodeType"] == "CUSTOM_PICO"
    with exhausted_quota(resources):
        fixed = stack.up("--refresh")
    assert fixed.succeeded, fixed.said
    assert "the update of nodeType and engineConfigs takes up to an hour" in fixed.said
    assert "quota (429), which the provider repeats silently for up to 120 minutes" in fixed.said
    assert instance(resources)["nodeType"] == "CUSTOM_MINI"


def test_an_instance_that_was_created_in_spite_of_an_error_is_adopted(stack: CloudStack, resources: Path) -> None:
    fail_once(resources, "create", answers.INSTANCE)
    stack.configure(SMALL)
    failed = stack.up()
    assert not failed.succeeded
    again = stack.up()
    assert not again.succeeded
    assert "pulumi config set --path gcp.existing valkey-test" in again.said
    assert "gcloud memorystore instances delete valkey-test --location=europe-west3" in again.said
    stack.configure(SMALL | {"gcp.existing": "valkey-test"})
    adopted = stack.up()
    assert adopted.succeeded, adopted.said
    assert [step.operation for step in adopted.steps if step.kind == answers.INSTANCE] == ["import"]
    assert stack.up("--refresh", "--expect-no-changes").succeeded
    assert stack.destroy().succeeded
    assert json.loads(resources.read_text()) == {}


def test_several_updates_are_made_one_after_the_other(stack: CloudStack, resources: Path) -> None:
    stack.configure(SMALL)
    assert stack.up().succeeded
    before = resources.read_text()
    stack.configure(SMALL | {"workload": "queue", "replicas": "3", "gcp.labels": "team=web"})
    refused = stack.up()
    assert not refused.succeeded
    assert "make up STACK=test, which makes the 4 updates one after the other" in refused.said
    assert "Traceback" not in refused.said
    assert resources.read_text() == before, "neither labels nor alerts changed"
    assert config_change.update(stack.project.stack)
    made = instance(resources)
    assert (made["replicaCount"], made["persistenceConfig"]["mode"]) == (3, "AOF")
    assert made["engineConfigs"]["maxmemory-policy"] == "noeviction"
    assert made["labels"]["team"] == "web"
    assert stack.up("--refresh", "--expect-no-changes").succeeded


def test_an_existing_instance_is_adopted_and_then_updated(stack: CloudStack, resources: Path) -> None:
    stack.configure(SMALL)
    assert stack.up().succeeded
    theirs = instance(resources) | {"instanceId": "theirs", "replicaCount": 1, "labels": {}}
    assert stack.destroy().succeeded
    make_policy(resources)
    name = "projects/my-project/locations/europe-west3/instances/theirs"
    others = json.loads(resources.read_text())
    resources.write_text(json.dumps(others | {name: {"kind": answers.INSTANCE, "inputs": theirs}}))
    stack.configure(MINIMAL | EXISTING | {"topology": "replicated", "workload": "cache", "gcp.existing": "theirs"})
    planned = stack.preview()
    assert planned.succeeded, planned.said
    assert "is imported first, and then needs 2 updates" in planned.said
    imported = stack.up()
    assert not imported.succeeded
    assert "is imported first, and then needs 2 updates" in imported.said
    assert instance(resources) == theirs
    assert config_change.update(stack.project.stack)
    assert instance(resources)["replicaCount"] == 2
    assert stack.outputs()["endpoint"]["nodes"]
    assert stack.up("--refresh", "--expect-no-changes").succeeded
