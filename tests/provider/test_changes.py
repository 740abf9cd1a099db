"""Changes of a running stack: the provider does what docs/aws-changes.md and the guard predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cloud.aws import service
from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.aws.terraform import PlannedChange
from harness.cloud.aws.terraform_names import pulumi_name
from infra.targets.aws.elasticache import REPLACING_INPUTS
from tests.aws.recorded import DeployedAws
from tests.aws.test_changes import RUNNER
from tests.cloud.change_scenarios import steps_between
from tests.provider.judge import Judge, Key, resources_of
from tests.provider.sample import changes_of_one_key

Changes = Mapping[str, tuple[DeployedAws, DeployedAws]]

VERSIONS = {"engineVersion", "majorEngineVersion"}
"""The guard has a sentence of its own for them."""


def observe(judge: Judge, changes: Changes) -> dict[tuple[str, Key], PlannedChange]:
    """What the provider does to each resource that exists before and after."""
    pairs: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {}
    names: dict[str, tuple[str, Key]] = {}
    for name, (before, after) in changes.items():
        previous, new = resources_of(before), resources_of(after)
        for key in previous.keys() & new.keys():
            if previous[key] != new[key]:
                pairs[f"{name} {key}"] = (key[0], previous[key], new[key])
                names[f"{name} {key}"] = (name, key)
    return {names[name]: change for name, change in judge.change(pairs).items()}


def disagreements(judge: Judge, changes: Changes) -> list[str]:
    """Where the fake provider, from which the page is made, does something else; and causes the guard can't name."""
    observed, found = observe(judge, changes), []
    for name, (before, after) in changes.items():
        steps = steps_between(before.recorder.recorded, after.recorder.recorded, service.provider_replaces)
        predicted = {(step.kind, step.name): step.operation for step in steps}
        for (change, key), planned in observed.items():
            if change != name or (key[0] == service.GROUP and planned.changed <= judge.missing and judge.missing):
                continue
            if judge.workspace.version.startswith("5.") and planned.replacing == {"major_engine_version"}:
                continue  # in place since 6.31 (terraform-provider-aws #45087)
            expected = predicted.get(key, "none")
            if planned.operation != expected:
                cause = sorted(planned.replacing or planned.changed)
                found.append(f"{name}: {key[1]}: provider {planned.operation}, page {expected} {cause}")
            named = {*REPLACING_INPUTS, *VERSIONS}
            replacing = {pulumi_name(attribute) for attribute in planned.replacing}
            unnamed = {name for name in replacing if not {name, f"{name}s"} & named}  # Pulumi names lists in the plural
            if key[0] in service.HOLDING and unnamed:
                found.append(f"{name}: the guard can't name {unnamed}")
    return found


def test_the_rows_of_the_page(judge: Judge) -> None:
    rows = {
        key: (DeployedAws.of(MINIMAL | before), DeployedAws.of(MINIMAL | after))
        for key, before, after in RUNNER.changes()
        if key != "aws.region"  # an argument of the provider itself
    }
    assert disagreements(judge, rows) == []


def test_one_key_at_a_time(judge: Judge) -> None:
    changes = changes_of_one_key()
    assert len(changes) > 150
    assert disagreements(judge, changes) == []
