"""Errors that only Google detects: reported before anything changes where possible, otherwise explained with a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cloud.gcp import answers, faults
from harness.cloud.gcp.configurations import APPS, FURTHER, MINIMAL, SHARED
from harness.cloud.stack import CloudStack
from infra.errors import ProvisioningError
from infra.targets.gcp import existing_networks, vendor_errors

BILLING = (
    "googleapi: Error 400: Billing account for project '123' is not found. Billing must be enabled for activation of "
    "service(s) 'memorystore.googleapis.com' to proceed., failedPrecondition"
)

FORBIDDEN = "compute.disablePrivateServiceConnectCreationForConsumers"

ERRORS = (
    (BILLING, "gcloud billing projects link my-project --billing-account="),
    (
        f"googleapi: Error 412: Constraint constraints/{FORBIDDEN} violated for project my-project.",
        f"the organization policy {FORBIDDEN} forbids it in the project my-project",
    ),
    (
        "googleapi: Error 403: Compute Engine API has not been used in project my-project before or it is disabled.",
        "an API is off in the project my-project -> pulumi config set --path gcp.enableApis true",
    ),
    (
        "Error 400: invalid argument pscAutoConnection.project_id shall be the same as the consumer project",
        "gcloud compute shared-vpc associated-projects add my-project --host-project=",
    ),
    (
        "googleapi: Error 400: Invalid IPCidrRange: 10.61.0.0/24 conflicts with existing subnetwork 'a'",
        "pulumi config set --path gcp.subnetCidr",
    ),
    (
        "googleapi: Error 429: Quota exceeded for quota metric 'Usage units'",
        "a quota of the project my-project is used up",
    ),
)


@pytest.mark.parametrize(("error", "said"), ERRORS)
def test_google_s_error_is_explained_with_its_fix(error: str, said: str) -> None:
    explained = vendor_errors.explain({"project": "my-project"}, [error])
    assert said in str(explained)
    assert " -> " in str(explained)


def test_a_clear_error_of_the_api_is_unchanged() -> None:
    assert vendor_errors.explain({"project": "my-project"}, ["Error 400: maxclients is too large"]) is None


def test_a_subnet_of_another_network_is_named() -> None:
    network, subnet = SHARED["gcp.network"], SHARED["gcp.subnetworks"]
    links = [f"https://www.googleapis.com/compute/v1/{subnet}"]
    existing_networks.check_subnetworks(network, "gcp.subnetworks", [subnet], {"subnetworksSelfLinks": links})
    existing_networks.check_subnetworks(network, "gcp.subnetworks", [subnet], {})
    with pytest.raises(ProvisioningError, match=r"/subnetworks/b, which is not a subnet of .*gcp.subnetworks <one"):
        existing_networks.check_subnetworks(
            network, "gcp.subnetworks", [f"{subnet[:-1]}b"], {"subnetworksSelfLinks": links}
        )


def test_a_network_that_does_not_exist_is_refused_before_anything_changes(stack: CloudStack, resources: Path) -> None:
    for network, key in ((SHARED["gcp.network"], "gcp.network"), (APPS, "gcp.endpointNetworks")):
        missing = faults.missing(network)
        resources.write_text(json.dumps(missing))
        stack.configure(MINIMAL | SHARED | FURTHER)
        for refused in (stack.preview(), stack.up()):
            assert not refused.succeeded
            assert f"{key} has {network}, which does not exist; nothing was changed" in refused.said
            assert "Traceback" not in refused.said
        assert json.loads(resources.read_text()) == missing


def test_a_project_without_billing_is_one_error_and_nothing_is_made(stack: CloudStack, resources: Path) -> None:
    rejected = faults.rejected(answers.SERVICE, BILLING)
    resources.write_text(json.dumps(rejected))
    stack.configure(MINIMAL)
    refused = stack.up()
    assert not refused.succeeded
    assert refused.said.count("the project my-project has no active billing account") == 1
    assert json.loads(resources.read_text()) == rejected
