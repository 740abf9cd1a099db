"""The name in the operator's hosted zone."""

from __future__ import annotations

import pytest

from harness.cloud.aws.configurations import NAMED
from stackctl.operations.restore import NOT_COPIED
from tests.aws.recorded import DeployedAws
from tests.aws.test_requests import check

RECORD = "aws:route53/record:Record"


@pytest.mark.parametrize(
    ("topology", "target"),
    [
        ("single", "master.valkey-test"),
        ("replicated", "master.valkey-test"),
        ("cluster", "clustercfg.valkey-test"),
        ("serverless", "valkey-test-abc.serverless"),
    ],
)
def test_the_name_leads_to_the_endpoint(topology: str, target: str) -> None:
    made = DeployedAws.of(NAMED | {"topology": topology})
    record = made.one(RECORD)
    assert (record["name"], record["type"], record["zoneId"]) == (
        "valkey.example.org",
        "CNAME",
        "Z0123456789ABCDEFGHIJ",
    )
    (value,) = record["records"]
    assert value.startswith(f"{target}.")
    assert made.outputs["dnsName"] == "valkey.example.org"
    assert check(made.recorder) == []


def test_clients_still_get_the_name_in_the_certificate() -> None:
    made = DeployedAws.of(NAMED)
    assert made.endpoint.nodes[0].host.startswith("master.valkey-test.")
    assert DeployedAws.of({}).all(RECORD) == {}


def test_a_restored_stack_does_not_take_the_name() -> None:
    assert NAMED.keys() <= set(NOT_COPIED)
