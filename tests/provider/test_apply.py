"""Real requests of the provider to an account on loopback: it accepts them, and they leave no difference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.cloud.aws import account, service
from harness.cloud.aws.terraform import Body, TerraformReference
from harness.cloud.aws.terraform_names import body_of, type_of
from tests.aws.recorded import DeployedAws
from tests.provider.judge import Judge, resources_of

SERVICES = ("ec2", "elasticache", "iam", "kms", "cloudwatch", "logs", "secretsmanager", "sns", "sts")

KEY_ID = "1234abcd"
"""Which the recorder gives the key."""

UNKNOWN_TO_MOTO = {
    "aws:elasticache/parameterGroup:ParameterGroup",
    service.GROUP,  # without its nodes, which the provider reads
    "aws:elasticache/userGroup:UserGroup",
}

_ID = re.compile(rf"(.+)-id|({KEY_ID})")
_ARN = re.compile(r"arn:aws:service:eu-central-1:123456789012:(.+)")
"""As the recorder answers for a resource."""


CONFIGURATION = {
    "aws.alertEmails": "ops@example.org",
    "aws.allowedCidrs": "10.0.0.0/16",
    "aws.kmsKey": "own",
    "aws.users.reports": "~report:* +@read",
}


def test_what_moto_supports_is_created_without_a_difference(judge: Judge) -> None:
    resources = _linked(judge, DeployedAws.of(CONFIGURATION))
    with account.served() as address:
        changes = judge.workspace.apply(resources, address, SERVICES)
    assert changes.keys() == resources.keys()
    assert {address: change.changed for address, change in changes.items() if change.operation != "none"} == {}


def _linked(judge: Judge, deployed: DeployedAws) -> dict[str, Body]:
    """The resources by address, with references instead of the recorder's answers."""
    bodies, ids, arns = {}, dict[str, str](), dict[str, str]()
    for (kind, name), inputs in resources_of(deployed).items():
        if kind in UNKNOWN_TO_MOTO:
            continue
        address = f"{type_of(kind, judge.workspace.types)}.{re.sub('[^a-z0-9-]', '-', name.lower())}"
        bodies[address], _ = body_of(kind, inputs, judge.workspace.types)
        ids.setdefault(name, TerraformReference(f"${{{address}.id}}"))
        arns.setdefault(name, TerraformReference(f"${{{address}.arn}}"))
    if "key" in ids:
        ids[KEY_ID] = ids["key"]
    return {address: _with_references(body, ids, arns) for address, body in bodies.items()}


def _with_references(value: Any, ids: Mapping[str, str], arns: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _with_references(item, ids, arns) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_references(item, ids, arns) for item in value]
    if not isinstance(value, str):
        return value
    for pattern, known in ((_ID, ids), (_ARN, arns)):
        if (match := pattern.fullmatch(value)) and (name := match[match.lastindex or 0]) in known:
            return known[name]
    return value
