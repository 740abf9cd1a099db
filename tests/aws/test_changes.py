"""What a change of each key does, by the real engine: the table of docs/aws-changes.md comes from here."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from infra.settings import loading
from tests.aws import service
from tests.aws.recorded import MINIMAL, Deployed
from tests.cloud.changes import REPLACEMENTS, Row, Step, effect, table, touched
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack
from tools.stack import PROJECT

FILE = PROJECT / "docs" / "aws-changes.md"

WRITE = "WRITE_DOCS"
"""The environment variable that has the table written instead of compared."""

Walk = tuple[Configuration, tuple[tuple[str, str], ...]]

WALKS: dict[str, Walk] = {
    "nodes": (
        {"topology": "replicated", "version": "9.0", "aws.applyImmediately": "false"},
        (
            ("workload", "queue"),
            ("version", "9.1"),
            ("memory", "2gb"),
            ("replicas", "1"),
            ("finalSnapshot", "false"),
            ("port", "7000"),
            ("restoreFrom", "nightly"),
            ("topology", "cluster"),
            ("aws.region", "eu-west-1"),
            ("aws.nodeType", "cache.r7g.xlarge"),
            ("aws.vpcCidr", "10.61.0.0/24"),
            ("aws.zones", "3"),
            ("aws.allowedSecurityGroups", "sg-0a1b2c3d"),
            ("aws.allowedCidrs", "10.0.0.0/16"),
            ("rotation", "2026-12"),
            ("retired", "2026-12"),
            ("aws.kmsKey", "own"),
            ("aws.backupDays", "3"),
            ("aws.backupWindow", "01:00-02:00"),
            ("aws.maintenanceWindow", "sat:05:00-sat:06:00"),
            ("aws.applyImmediately", "true"),
            ("aws.multiZone", "false"),
            ("aws.logDays", "7"),
            ("aws.alarmEmails", "ops@example.org"),
            ("aws.tags", "team=web"),
            ("aws.existing", "another"),
            ("environment", "prod"),
        ),
    ),
    "cluster": (
        {"topology": "cluster", "memory": "8gb", "aws.applyImmediately": "false"},
        (("shards", "4"), ("aws.durability", "sync")),
    ),
    "serverless": (
        {"topology": "serverless", "version": "8.1"},
        (("aws.maxEcpu", "5000"),),
    ),
    "login": ({}, (("aws.auth", "iam"),)),
}
"""From a configuration, one change after another; those that the guard refuses are taken back."""

SAME_AS = {"aws.vpcId": "aws.vpcCidr", "aws.subnetIds": "aws.zones", "aws.subnetGroup": "aws.vpcCidr"}
"""Keys that need a network of somebody else's: they change what the named key changes."""

NOT_IN_TABLE = {"target", "dataDir", "aws.allowReplacement"}
"""Another target is another deployment; dataDir isn't AWS's; the last one is the guard itself."""

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


def predicted(before: Configuration, key: str, value: str) -> Row:
    """From the inputs of all resources before and after the change."""
    former, after = Deployed.of(before), Deployed.of(before | {key: value})
    taken = list(_steps(former, after))
    refused = any(step.operation in REPLACEMENTS and step.kind in service.KEPT for step in taken)
    if refused or service.GROUP in _dropped(former, after) or _becomes_a_cluster(former, after):
        return Row(key, "a replacement", guarded=True, touched=())
    return Row(key, effect(taken, service.HOLDING, service.AT_WINDOW), guarded=False, touched=touched(taken))


def _steps(former: Deployed, after: Deployed) -> Iterator[Step]:
    old = {(resource.kind, resource.name): resource.inputs for resource in former.recorder.recorded}
    new = {(resource.kind, resource.name): resource.inputs for resource in after.recorder.recorded}
    for kind, name in old.keys() | new.keys():
        inputs, wanted = old.get((kind, name)), new.get((kind, name))
        if inputs is None or wanted is None:
            yield Step("create" if inputs is None else "delete", kind, name, frozenset())
            continue
        changed = {field for field in {*inputs, *wanted} if inputs.get(field) != wanted.get(field)}
        if changed:
            replaces = service.replaces(kind, inputs, wanted, changed)
            yield Step("replace" if replaces else "update", kind, name, frozenset(changed))


def _dropped(former: Deployed, after: Deployed) -> set[str]:
    return {resource.kind for resource in former.recorder.recorded} - {r.kind for r in after.recorder.recorded}


def _becomes_a_cluster(former: Deployed, after: Deployed) -> bool:
    modes = {inputs.get("clusterMode") for made in (former, after) for inputs in made.all(service.GROUP).values()}
    return len(modes) > 1


@functools.cache
def predictions() -> dict[str, Row]:
    """Of every key, in its walk."""
    rows = {}
    for base, changes in WALKS.values():
        configuration = base
        for key, value in changes:
            rows[key] = predicted(configuration, key, value)
            if not rows[key].guarded:
                configuration = configuration | {key: value}
    return rows | {key: replace(rows[same], key=key) for key, same in SAME_AS.items()}


def walk(stack: CloudStack, name: str) -> Iterator[Row]:
    base, changes = WALKS[name]
    configuration = MINIMAL | base
    stack.configure(configuration)
    first = stack.up()
    assert first.succeeded, first.said
    for key, value in changes:
        wanted = configuration | {key: value}
        stack.configure(wanted)
        done = stack.up()
        refused = "guard of" in done.said
        assert done.succeeded or refused, f"{key}: {done.said}"
        if refused:
            assert "or allow it: pulumi config set --path valkey:aws.allowReplacement true" in done.said
            yield Row(key, "a replacement", guarded=True, touched=())
        else:
            configuration = wanted
            does = effect(done.steps, service.HOLDING, service.AT_WINDOW)
            assert does != "a replacement", f"{key} replaces without a guard"
            yield Row(key, does, guarded=False, touched=touched(done.steps))


def test_the_table_of_the_docs_is_what_the_program_does() -> None:
    order = [key for key, _ in loading.described() if not key.startswith("docker.") and key not in NOT_IN_TABLE]
    assert set(predictions()) == set(order)
    text = HEAD + table(predictions()[key] for key in order)
    if os.environ.get(WRITE):
        FILE.write_text(text)
    assert FILE.read_text() == text, f"{WRITE}=1 writes it anew"


@pytest.mark.parametrize("name", WALKS)
def test_the_engine_does_what_the_table_says(stack: CloudStack, name: str) -> None:
    rows = list(walk(stack, name))
    assert [row.key for row in rows] == [key for key, _ in WALKS[name][1]]
    told = {row.key: (row.effect, row.guarded) for row in rows}
    assert told == {key: (predictions()[key].effect, predictions()[key].guarded) for key in told}
