"""What a change of each key does, by the real engine: the table of docs/aws-changes.md comes from here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.aws import service
from tests.aws.account import client
from tests.aws.recorded import MINIMAL, PASSWORD, Deployed
from tests.cloud.changes import REPLACEMENTS, Effect, Step
from tests.cloud.recording import Recorded
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack
from tests.cloud.walks import Walk, Walker, assert_documented, steps_between
from tools.stack import PROJECT

FILE = PROJECT / "docs" / "aws-changes.md"

THEIR_GROUP = "sg-0a1b2c3d"
"""A security group that somebody else made."""

WALKS: dict[str, Walk] = {
    "nodes": (
        {"topology": "replicated", "version": "9.0", "aws.applyImmediately": "false"},
        (
            (
                ("workload", "queue"),
                ("version", "9.1"),
                ("memory", "2gb"),
                ("replicas", "1"),
                ("finalSnapshot", "false"),
            ),
            (("port", "7000"),),
            (("restoreFrom", "nightly"),),
            (("topology", "cluster"),),
            (("aws.region", "eu-west-1"),),
            (
                ("aws.nodeType", "cache.r7g.xlarge"),
                ("aws.zones", "3"),
                ("aws.allowedSecurityGroups", THEIR_GROUP),
                ("aws.allowedCidrs", "10.0.0.0/16"),
                ("passwordRotation", "2026-12"),
                ("aws.backupDays", "3"),
                ("aws.backupWindow", "01:00-02:00"),
                ("aws.maintenanceWindow", "sat:05:00-sat:06:00"),
            ),
            (("aws.vpcCidr", "10.61.0.0/24"),),
            (("aws.kmsKey", "own"),),
            (("aws.existing", "another"),),
            (
                ("completedRotation", "2026-12"),
                ("aws.applyImmediately", "true"),
                ("aws.multiZone", "false"),
                ("aws.logDays", "7"),
                ("aws.alertEmails", "ops@example.org"),
                ("aws.tags", "team=web"),
                ("environment", "prod"),
            ),
        ),
    ),
    "cluster": (
        {"topology": "cluster", "memory": "8gb", "aws.applyImmediately": "false"},
        ((("shards", "4"), ("aws.durability", "sync")),),
    ),
    "serverless": ({"topology": "serverless", "version": "8.1"}, ((("aws.maxEcpu", "5000"),),)),
    "login": ({}, ((("aws.auth", "iam"),),)),
}
SAME_AS = {"aws.vpcId": "aws.vpcCidr", "aws.subnetIds": "aws.zones", "aws.subnetGroup": "aws.vpcCidr"}
"""Keys that need a network of somebody else's: they change what the named key changes."""

NOT_IN_TABLE = {"contacts", "target", "dataDir", "aws.allowReplacement"}
"""Contacts change nothing there; another target is another deployment; dataDir isn't AWS's; the last is the guard."""

HEAD = """# What a change does on AWS

Made by `tests/aws/test_changes.py` from what the program asks for before and after each change; the same test makes
the changes with the real engine and a stand-in for the AWS provider. What replaces a resource, and what waits for the
maintenance window, is the provider's documentation in code (`tests/aws/service.py`); it was not tried on a live
account.

- **live**: when `pulumi up` runs; clients may see a short reconnect where nodes are added or moved.
- **at the next window**: in `aws.maintenanceWindow`, or when `pulumi up` runs where `aws.applyImmediately` is true.
- **a replacement**: the cache would begin empty. It is refused, in a preview too, until
  `aws.allowReplacement` is true.

"""


def plan(before: Configuration, after: Configuration) -> list[Step] | Effect:
    """From the inputs of all resources before and after the change."""
    former, wanted = Deployed.of(before), Deployed.of(after)
    taken = list(steps_between(_decisive(former), _decisive(wanted), service.replaces))
    replaces = any(step.operation in REPLACEMENTS and step.kind in service.KEPT for step in taken)
    if replaces or service.GROUP in _dropped(former, wanted) or _becomes_a_cluster(former, wanted):
        return "a replacement"
    return taken


def _decisive(made: Deployed) -> list[Recorded]:
    """Without the input `retired` (the key `completedRotation`), which passwords only check."""
    return [
        replace(resource, inputs={key: value for key, value in resource.inputs.items() if key != "retired"})
        if resource.kind == PASSWORD
        else resource
        for resource in made.recorder.recorded
    ]


def _dropped(former: Deployed, after: Deployed) -> set[str]:
    return {resource.kind for resource in former.recorder.recorded} - {r.kind for r in after.recorder.recorded}


def _becomes_a_cluster(former: Deployed, after: Deployed) -> bool:
    modes = {inputs.get("clusterMode") for made in (former, after) for inputs in made.all(service.GROUP).values()}
    return len(modes) > 1


WALKER = Walker(
    MINIMAL,
    WALKS,
    SAME_AS,
    plan,
    refusals={"a replacement": "or allow it with: pulumi config set --path valkey:aws.allowReplacement true"},
    holding=service.HOLDING,
    deferred=service.AT_WINDOW,
)


def test_the_table_of_the_docs_is_what_the_program_does() -> None:
    assert_documented(FILE, HEAD, WALKER.predictions(), "aws", NOT_IN_TABLE)


@pytest.mark.parametrize("name", WALKS)
def test_the_engine_does_what_the_table_says(stack: CloudStack, moto: str, name: str) -> None:
    group = client(moto, "ec2").create_security_group(GroupName="theirs", Description="theirs")["GroupId"]
    WALKER.assert_engine_agrees(stack, name, {THEIR_GROUP: group})
