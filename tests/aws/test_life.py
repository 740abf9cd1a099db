"""A stack's life under the real engine, with the fake provider for AWS: up, no change, refresh, destroy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import parse

from harness.cloud.aws.account import client
from harness.cloud.aws.configurations import MINIMAL, TOPOLOGIES
from harness.cloud.config_strategies import Configuration
from harness.cloud.stack import CloudStack
from tests.support.secret_scan import absent_from_files, absent_from_processes, absent_from_text


@pytest.mark.parametrize(
    "configuration",
    [
        TOPOLOGIES["replicated"] | {"aws.kmsKey": "own"},
        TOPOLOGIES["cluster"],
        TOPOLOGIES["serverless"],
        TOPOLOGIES["signed"],
    ],
    ids=["replicated", "cluster", "serverless", "signed"],
)
def test_up_and_again_and_down(stack: CloudStack, moto: str, configuration: Configuration) -> None:
    stack.configure(MINIMAL | configuration)
    first = stack.up()
    assert first.succeeded, first.said
    again = stack.up("--refresh", "--expect-no-changes")
    assert again.succeeded, again.steps
    outputs = stack.outputs()
    endpoint = Endpoint.from_dict(outputs["endpoint"])
    assert (endpoint.target, endpoint.tls) == ("aws", True)
    assert parse(outputs["url"]).tls
    secret = client(moto, "secretsmanager").get_secret_value(SecretId=outputs["aws"]["secretArn"])
    assert json.loads(secret["SecretString"])["url"] == outputs["url"]
    _assert_secret(stack, outputs, first.said + again.said)
    assert stack.destroy().succeeded
    assert stack.project.resources() == []
    assert client(moto, "elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert [vpc for vpc in client(moto, "ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert client(moto, "secretsmanager").list_secrets()["SecretList"] == []


def _assert_secret(stack: CloudStack, outputs: dict[str, Any], said: str) -> None:
    """No password is stored in clear; with IAM there are none."""
    urls = [parse(outputs[name]) for name in ("url", "adminUrl", "monitorUrl")]
    passwords = {url.password for url in urls if url.password}
    if outputs["aws"].get("connectPolicies"):
        assert passwords == set()
        assert urls[0].username == "valkey-test-iam-app"
        return
    assert len(passwords) == 3
    exported = stack.project.pulumi("stack", "export").stdout
    absent_from_text(passwords, said + exported, "what the commands said")
    absent_from_files(passwords, stack.project.root)
    absent_from_processes(passwords)
