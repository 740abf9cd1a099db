"""What a change of each key does, by the real engine: the table of docs/gcp-changes.md comes from here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cloud.changes import REPLACEMENTS, Effect, Step, touched
from harness.cloud.config_strategies import Configuration
from harness.cloud.gcp import answers, service
from harness.cloud.gcp.accepted import POLICY, POOL
from harness.cloud.gcp.configurations import FURTHER, KEY, MEMBERS, MINIMAL, SHARED
from harness.cloud.stack import CloudStack
from infra.targets.gcp.instance_protection import ALLOW_REPLACEMENT, REPLACED_ON_CHANGES
from stackctl.stack import PROJECT
from tests.cloud.change_scenarios import Scenario, ScenarioRunner, assert_documented, steps_between
from tests.gcp.recorded import DeployedGcp
from tests.gcp.test_life import make_policy

FILE = PROJECT / "docs" / "gcp-changes.md"

FAR = "projects/my-project/locations/us-east1/instances/valkey-far"

SCENARIOS: dict[str, Scenario] = {
    "instance": (
        SHARED | {"workload": "cache", "topology": "replicated", "version": "8.0"},
        (
            (("version", "9.0"), ("finalSnapshot", "false"), ("port", "6379"), ("gcp.enableApis", "false")),
            (("memory", "2gb"), ("gcp.connectionLimit", "4")),
            (
                ("replicas", "1"),
                ("gcp.subnetworks", SHARED["gcp.subnetworks"][:-1] + "b"),
                ("gcp.checkHostname", "false"),
                ("gcp.allowedProducers", "folders/12"),
                ("gcp.endpointNetworks", FURTHER["gcp.endpointNetworks"]),
                ("gcp.alertEmails", "ops@example.org"),
                ("gcp.alertChannels", "projects/my-project/notificationChannels/12345"),
            ),
            (("workload", "mixed"),),
            (("restoreFrom", "gs://dumps/a.rdb"),),
            (("topology", "cluster"),),
            (("environment", "prod"),),
            (("gcp.project", "other-project"),),
            (("gcp.zone", "europe-west3-a"),),
            (("gcp.network", "projects/host-project/global/networks/other"),),
            (("gcp.auth", "none"),),
            (("gcp.kmsKey", KEY),),
        ),
    ),
    "settings": (
        SHARED
        | {"workload": "cache", "topology": "replicated", "version": "9.0", "gcp.enableApis": "false"}
        | {"gcp.endpointNetworks": FURTHER["gcp.endpointNetworks"], "gcp.alertEmails": "ops@example.org"},
        (
            (("gcp.nodeType", "STANDARD_SMALL"),),
            (("gcp.appMembers", MEMBERS["gcp.appMembers"]),),
            (("gcp.acl", "false"),),
            (("gcp.snapshotPeriod", "6h"),),
            (("gcp.snapshotStart", "2026-01-01T03:00:00Z"),),
            (("gcp.snapshotStart", ""),),
            (("gcp.snapshotPeriod", ""), ("gcp.persistence", "aof")),
            (("gcp.appendFsync", "always"),),
            (("gcp.maintenanceVersion", "M_1"),),
            (("gcp.backupDays", "3"), ("gcp.backupHour", "5")),
            (("gcp.maintenanceWindow", "sat:05:00"),),
            (("gcp.deletionProtection", "true"),),
            (("gcp.deletionPolicy", "abandon"),),
            (("gcp.labels", "team=web"),),
            (("parameters.notify-keyspace-events", "Ex"),),
        ),
    ),
    "cluster": (SHARED | {"topology": "cluster"}, ((("shards", "4"),),)),
    "network": ({}, ((("gcp.location", "us-east1"),), (("gcp.subnetCidr", "10.61.0.0/23"),))),
    "open": (SHARED | {"gcp.auth": "none"}, ((("gcp.tls", "false"),),)),
    "primary": (
        SHARED | {"gcp.replicationRole": "primary", "gcp.secondaryInstances": f"{FAR}er"},
        ((("gcp.secondaryInstances", FAR),),),
    ),
}
SAME_AS = {
    "gcp.connectionPolicy": "gcp.network",
    "gcp.adminMembers": "gcp.appMembers",
    "gcp.monitorMembers": "gcp.appMembers",
    "gcp.serverCa": "gcp.tls",
    "gcp.caPool": "gcp.tls",
    "gcp.caFile": "gcp.checkHostname",
    "gcp.replicationRole": "gcp.secondaryInstances",
    "gcp.primaryInstance": "gcp.secondaryInstances",
}
"""Keys that go only with others, or need a file: they change what the named key changes."""

_CUSTOMER: Configuration = {"gcp.serverCa": "customer", "gcp.caFile": "first.pem", "gcp.caPool": POOL}
_NO_APIS = SHARED | {"gcp.enableApis": "false"}
_ELSEWHERE = {"gcp.network": "projects/host-project/global/networks/other", "gcp.connectionPolicy": f"{POLICY}-2"}

WITH_OTHERS: dict[str, tuple[Configuration, Configuration]] = {
    "gcp.connectionPolicy": ({"gcp.network": SHARED["gcp.network"], "gcp.connectionPolicy": POLICY}, _ELSEWHERE),
    "gcp.adminMembers": (_NO_APIS, {"gcp.adminMembers": MEMBERS["gcp.adminMembers"]}),
    "gcp.monitorMembers": (_NO_APIS, {"gcp.monitorMembers": MEMBERS["gcp.monitorMembers"]}),
    "gcp.serverCa": (SHARED, {"gcp.serverCa": "shared"}),
    "gcp.caPool": (SHARED | _CUSTOMER, {"gcp.caPool": f"{POOL}-2"}),
    "gcp.caFile": (SHARED | _CUSTOMER, {"gcp.caFile": "second.pem"}),
    "gcp.replicationRole": (SHARED, {"gcp.replicationRole": "primary", "gcp.secondaryInstances": FAR}),
    "gcp.primaryInstance": (
        SHARED | {"gcp.replicationRole": "secondary", "gcp.primaryInstance": FAR},
        {"gcp.primaryInstance": f"{FAR}er"},
    ),
}
"""Of each key in SAME_AS a configuration and a change, which show that its row is right."""

NOT_IN_TABLE = {
    "allowWeaker",
    "contacts",
    "target",
    "dataDir",
    "passwordRotation",
    "completedRotation",
    "gcp.allowReplacement",
    "gcp.existing",
}
"""Contacts change nothing there; another target is another deployment; three aren't Google's; the last two select what
is there.
"""

HEAD = """# Effect of each change on Google Cloud

Generated by `tests/gcp/test_changes.py` from the program's requests before and after each change.
The same test makes the changes with the real Pulumi engine and a fake Google provider.
`harness/cloud/gcp/service.py` encodes which changes replace a resource, from the provider's source.
It was not tested on a live project.

- **live**: when `pulumi up` runs; clients may reconnect.
  A change of node type, shards, replicas or version takes minutes to hours.
- **several updates**: Memorystore allows one changed field per update, and this changes several.
  `make up` makes them one after the other; `pulumi up` rejects it with the fields and their order,
  see [One change at a time](gcp.md#one-change-at-a-time).
- **a replacement**: the instance would start empty.
  Previews and updates reject it until `gcp.allowReplacement` is true.

The table starts from a replicated cache in a network of another project.
From another configuration, the same key may change more fields.

"""


def plan(before: Configuration, after: Configuration) -> list[Step] | Effect:
    """From the inputs of all resources before and after the change."""
    former, wanted = DeployedGcp.of(before), DeployedGcp.of(after)
    taken = list(steps_between(former.recorder.recorded, wanted.recorder.recorded, service.replaces))
    if any(step.operation in REPLACEMENTS and step.kind in service.KEPT for step in taken):
        return "a replacement"
    (fields,) = [step.changed for step in taken if step.kind == answers.INSTANCE] or [frozenset()]
    if fields & set(REPLACED_ON_CHANGES):
        return "a replacement"
    if len(fields) > 1 and not fields <= {"nodeType", "engineConfigs"}:
        return "several updates"
    return taken


RUNNER = ScenarioRunner(
    MINIMAL,
    SCENARIOS,
    SAME_AS,
    plan,
    refusals={
        "a replacement": f"or allow it with: {ALLOW_REPLACEMENT}",
        "several updates": "Memorystore allows one changed field per update",
    },
    holding=service.HOLDING,
)


def test_the_table_of_the_docs_is_what_the_program_does() -> None:
    assert_documented(FILE, HEAD, RUNNER.predictions(), "gcp", NOT_IN_TABLE)


def authorities(folder: Path) -> None:
    for name in ("first", "second"):
        (folder / f"{name}.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")


def test_a_key_that_goes_with_others_has_the_right_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    authorities(tmp_path)
    assert set(WITH_OTHERS) == set(SAME_AS)
    documented = RUNNER.predictions()
    for key, (before, change) in WITH_OTHERS.items():
        assert RUNNER.row(key, plan(before, before | change)) == documented[key]


@pytest.mark.thorough
@pytest.mark.parametrize("key", WITH_OTHERS)
def test_the_engine_agrees_with_such_a_row(stack: CloudStack, resources: Path, key: str) -> None:
    authorities(stack.project.root)
    before, change = WITH_OTHERS[key]
    if "gcp.connectionPolicy" in before:
        make_policy(resources)
    stack.configure(MINIMAL | before)
    first = stack.up()
    assert first.succeeded, first.said
    if "gcp.connectionPolicy" in change:
        theirs = json.loads(resources.read_text())
        inputs = theirs[POLICY]["inputs"] | {"network": change["gcp.network"], "name": "theirs-2"}
        resources.write_text(json.dumps(theirs | {f"{POLICY}-2": {"kind": answers.POLICY, "inputs": inputs}}))
    stack.configure(MINIMAL | before | change)
    done = stack.up()
    row = RUNNER.predictions()[key]
    assert done.succeeded != row.guarded, done.said
    assert touched(done.steps) == row.touched or row.guarded


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.thorough) if name == "settings" else name for name in SCENARIOS]
)
def test_the_engine_agrees_with_the_table(stack: CloudStack, name: str) -> None:
    RUNNER.assert_engine_agrees(stack, name)
