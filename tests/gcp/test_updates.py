"""The updates of an instance: which fields, in which order, with which keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from harness.cloud.config_strategies import Configuration, load
from harness.cloud.gcp import service
from harness.cloud.gcp.configurations import MINIMAL
from infra.errors import ProvisioningError
from infra.outputs import STAGED_UPDATES
from infra.targets.gcp import instance_protection, retention, updates, waiting_notes
from infra.targets.previous_resources import PreviousResources
from tests.gcp.recorded import INSTANCE, DeployedGcp

BEFORE: dict[str, Any] = {
    "instanceId": "valkey-dev",
    "nodeType": "CUSTOM_PICO",
    "engineConfigs": {"maxmemory": "1", "maxclients": "5"},
    "persistenceConfig": {"mode": "RDB"},
    "replicaCount": 1,
    "engineVersion": "VALKEY_8_0",
    "deletionProtectionEnabled": False,
}
LARGER = {"nodeType": "CUSTOM_MINI", "engineConfigs": {"maxmemory": "3", "maxclients": "5"}}
IMPORTED = BEFORE | {
    "engineConfigs": BEFORE["engineConfigs"] | {"__defaults": []},
    "persistenceConfig": {"mode": "RDB", "__defaults": []},
    "__defaults": [],
}


def remembered(*resources: dict[str, Any]) -> PreviousResources:
    """As the engine fills it."""
    previous = PreviousResources()
    migration = next(iter(previous.watch().state_migrations or []))
    assert migration(pulumi.StateMigrationArgs("parent", [{"urn": "parent", "type": "component"}, *resources])) is None
    return previous


def existing(**other: Any) -> PreviousResources:
    return remembered({"urn": "urn:a::instance", "type": INSTANCE, "inputs": BEFORE, **other})


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAGED_UPDATES, "true")


@pytest.mark.parametrize("change", [{}, {"replicaCount": 2}, {"labels": {"a": "b"}}, LARGER])
def test_one_field_or_a_node_type_with_its_limits_is_one_update(change: dict[str, Any]) -> None:
    plan = instance_protection.plan_update(existing(), BEFORE | change, "dev")
    assert len(plan.steps) == min(1, len(change))
    assert (plan.inputs, instance_protection.pending(plan)) == (BEFORE | change, [])


@pytest.mark.parametrize(
    ("change", "fields", "order"),
    [
        (
            {
                "engineConfigs": BEFORE["engineConfigs"] | {"maxmemory-policy": "noeviction"},
                "persistenceConfig": {"mode": "AOF"},
            },
            "2 would change: persistenceConfig (gcp.persistence), engineConfigs (workload)",
            "persistenceConfig; then engineConfigs",
        ),
        (
            {"shardCount": 13.0, "replicaCount": 2.0},
            "2 would change: replicaCount from 1 to 2 (replicas), shardCount from none to 13 (shards)",
            "replicaCount; then shardCount",
        ),
        (
            LARGER | {"engineVersion": "VALKEY_9_0", "replicaCount": 2.0},
            "to CUSTOM_MINI (gcp.nodeType), engineConfigs (memory or gcp.nodeType), replicaCount",
            "nodeType with engineConfigs; then replicaCount; then engineVersion",
        ),
        (
            {"deletionProtectionEnabled": True, "labels": {"a": "b"}},
            "labels (gcp.labels), deletionProtectionEnabled from false to true (gcp.deletionProtection)",
            "labels; then deletionProtectionEnabled",
        ),
    ],
)
def test_several_updates_are_rejected_with_their_order(change: dict[str, Any], fields: str, order: str) -> None:
    with pytest.raises(ProvisioningError) as caught:
        instance_protection.plan_update(existing(), BEFORE | change, "dev")
    assert fields in str(caught.value)
    assert "make up STACK=dev, which makes" in str(caught.value)
    assert str(caught.value).endswith(order)


def test_a_parameter_is_named_by_its_own_key() -> None:
    configs = BEFORE["engineConfigs"]
    own = BEFORE | {"engineConfigs": configs | {"notify-keyspace-events": "Ex"}}
    assert updates.describe("engineConfigs", BEFORE, own) == "engineConfigs (parameters)"
    both = BEFORE | {"engineConfigs": configs | {"notify-keyspace-events": "Ex", "maxmemory-policy": "noeviction"}}
    assert updates.describe("engineConfigs", BEFORE, both) == "engineConfigs (parameters and workload)"


@pytest.mark.usefixtures("staged")
def test_make_up_makes_one_update_after_the_other() -> None:
    desired = BEFORE | LARGER | {"engineVersion": "VALKEY_9_0", "replicaCount": 2, "aclPolicy": "mine"}
    inputs: Mapping[str, Any] = BEFORE
    made = []
    while True:
        known = remembered({"urn": "urn:a::instance", "type": INSTANCE, "inputs": inputs})
        plan = instance_protection.plan_update(known, desired, "dev")
        if not plan.steps:
            break
        made.append(updates.changed_fields(inputs, plan.inputs))
        assert len(instance_protection.pending(plan)) == len(plan.steps) - 1
        inputs = plan.inputs
    assert made == [["aclPolicy"], ["engineConfigs", "nodeType"], ["replicaCount"], ["engineVersion"]]
    assert inputs == desired


def test_data_fits_and_jobs_are_kept_while_several_updates_are_under_way() -> None:
    smaller = {"nodeType": "STANDARD_SMALL", "engineConfigs": {"maxmemory": "0"}, "shardCount": 9}
    assert updates.find_steps(BEFORE, BEFORE | smaller)[0] == ["shardCount"]
    queue = BEFORE | {"persistenceConfig": {"mode": "AOF"}}
    cache = BEFORE | {"engineConfigs": {"maxmemory-policy": "allkeys-lru"}}
    assert updates.find_steps(queue, cache) == [["engineConfigs"], ["persistenceConfig"]]
    assert updates.find_steps(cache, queue) == [["persistenceConfig"], ["engineConfigs"]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"labels": {}}, "the update of labels takes a few minutes"),
        (LARGER, "the update of nodeType and engineConfigs takes up to an hour"),
    ],
)
def test_a_long_update_reports_what_it_waits_for(change: dict[str, Any], said: str | None) -> None:
    note = waiting_notes.note(BEFORE, updates.plan(BEFORE, BEFORE | change))
    assert (note is None) == (said is None)
    assert said is None or (said in str(note) and "quota (429)" in str(note))


def test_a_removed_member_would_keep_what_is_abandoned() -> None:
    member = {"urn": "a", "type": retention.MEMBER, "inputs": {"member": "user:bob@example.org"}}
    for policy, members in (("delete", ""), ("abandon", "user:bob@example.org")):
        kept = load(MINIMAL | {"gcp.deletionPolicy": policy, "gcp.adminMembers": members})
        retention.check_members(kept, remembered(member))
    with pytest.raises(ProvisioningError, match=r"user:bob@example.org would keep .*gcp.deletionPolicy delete"):
        retention.check_members(load(MINIMAL | {"gcp.deletionPolicy": "abandon"}), remembered(member))


def test_what_an_import_adds_is_no_change() -> None:
    assert updates.changed_fields(IMPORTED, BEFORE) == []


def test_a_replacement_is_one_step() -> None:
    desired = BEFORE | {"instanceId": "other", "replicaCount": 2, "labels": {}}
    assert instance_protection.plan_update(existing(), desired, "dev").steps == []


def test_a_failed_update_is_not_taken_for_a_success() -> None:
    with pytest.raises(ProvisioningError, match=r"update of instance failed, .* -> pulumi up --refresh"):
        instance_protection.plan_update(existing(initErrors=["Error 409"]), BEFORE, "dev")


def test_a_role_ends_only_by_none() -> None:
    secondary = BEFORE | {"crossInstanceReplicationConfig": {"instanceRole": "SECONDARY"}}
    known = remembered({"urn": "a::instance", "type": INSTANCE, "inputs": secondary})
    with pytest.raises(ProvisioningError, match=r"stay a secondary .*gcp.replicationRole none"):
        instance_protection.plan_update(known, BEFORE, "dev")
    detached = BEFORE | {"crossInstanceReplicationConfig": {"instanceRole": "NONE"}}
    assert len(instance_protection.plan_update(known, detached, "dev").steps) == 1


STEPS = {
    "a cache becomes a queue": ({"workload": "cache"}, {"workload": "queue"}),
    "a dev stack becomes a prod one": ({}, {"environment": "prod"}),
    "a cluster gets larger nodes and more of them": (
        {"topology": "cluster", "memory": "3gb"},
        {"memory": "20gb", "shards": "13"},
    ),
}
"""A configuration and a change of it, each two updates, as in docs/gcp.md."""


@pytest.mark.parametrize("name", STEPS)
def test_the_documented_changes_are_several_updates(name: str) -> None:
    configuration: Configuration
    configuration, change = STEPS[name]
    before, after = (DeployedGcp.of(known).one(INSTANCE) for known in (configuration, configuration | change))
    assert len(updates.find_steps(before, after)) == 2


def test_the_plan_covers_every_field_of_the_service() -> None:
    assert set(updates.KEYS) == service.MUTABLE - {"deletionPolicy"}
    assert not set(updates.KEYS) & set(instance_protection.REPLACING_INPUTS)
