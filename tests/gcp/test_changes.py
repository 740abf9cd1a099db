"""What a change of each key does, by the real engine: the table of docs/gcp-changes.md comes from here."""

from __future__ import annotations

import pytest

from infra.targets.gcp.changes import ALLOW_REPLACEMENT
from tests.cloud.changes import REPLACEMENTS, Effect, Step
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack
from tests.cloud.walks import Walk, Walker, assert_documented, steps_between
from tests.gcp import answers, service
from tests.gcp.recorded import MEMBERS, MINIMAL, SHARED, Deployed
from tests.gcp.test_requests import KEY
from tools.stack import PROJECT

FILE = PROJECT / "docs" / "gcp-changes.md"

FAR = "projects/my-project/locations/us-east1/instances/valkey-far"

WALKS: dict[str, Walk] = {
    "instance": (
        SHARED | {"topology": "replicated", "version": "8.0"},
        (
            (("version", "9.0"), ("finalSnapshot", "false"), ("port", "6379"), ("gcp.enableApis", "false")),
            (("memory", "2gb"), ("gcp.connectionLimit", "4")),
            (
                ("replicas", "1"),
                ("gcp.subnetworks", SHARED["gcp.subnetworks"][:-1] + "b"),
                ("gcp.checkHostname", "false"),
                ("gcp.alertEmails", "ops@example.org"),
                ("gcp.alertChannels", "projects/my-project/notificationChannels/12345"),
            ),
            (("workload", "mixed"),),
            (("restoreFrom", "gs://dumps/a.rdb"),),
            (("topology", "cluster"),),
            (("environment", "prod"),),
            (("gcp.project", "other-project"),),
            (("gcp.zone", "europe-west3-a"),),
            (("gcp.endpointProject", "my-project"),),
            (("gcp.auth", "none"),),
            (("gcp.kmsKey", KEY),),
            (("gcp.nodeType", "STANDARD_SMALL"),),
            (("gcp.appMembers", MEMBERS["gcp.appMembers"]),),
            (("gcp.acl", "false"),),
            (("gcp.persistence", "aof"),),
            (("gcp.backupDays", "3"), ("gcp.backupHour", "5")),
            (("gcp.maintenanceWindow", "sat:05:00"),),
            (("gcp.deletionProtection", "true"),),
            (("gcp.labels", "team=web"),),
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
    "gcp.network": "gcp.endpointProject",
    "gcp.connectionPolicy": "gcp.endpointProject",
    "gcp.adminMembers": "gcp.appMembers",
    "gcp.monitorMembers": "gcp.appMembers",
    "gcp.serverCa": "gcp.tls",
    "gcp.caPool": "gcp.tls",
    "gcp.caFile": "gcp.checkHostname",
    "gcp.replicationRole": "gcp.secondaryInstances",
    "gcp.primaryInstance": "gcp.secondaryInstances",
}
"""Keys that go only with others, or need a file: they change what the named key changes."""

NOT_IN_TABLE = {"contacts", "target", "dataDir", "passwordRotation", "completedRotation", "gcp.allowReplacement"}
"""Contacts change nothing there; another target is another deployment; three aren't Google's; the last is the guard."""

HEAD = """# What a change does on Google Cloud

Made by `tests/gcp/test_changes.py` from what the program asks for before and after each change; the same test makes
the changes with the real engine and a stand-in for the Google provider. What replaces a resource is the provider's
source in code (`tests/gcp/service.py`); it was not tried on a live project.

- **live**: when `pulumi up` runs. A change of the node type, the shards, the replicas or the version takes minutes to
  hours; clients may see a short reconnect.
- **several updates**: Memorystore allows one changed field per update, and this changes several. It is refused, in a
  preview too, with the fields and the order; [gcp.md](gcp.md#one-change-at-a-time) says how it is made.
- **a replacement**: the instance would begin empty. It is refused, in a preview too, until `gcp.allowReplacement` is
  true.

From a replicated cache in a network of another project; another start may need more fields for the same key.

"""


def plan(before: Configuration, after: Configuration) -> list[Step] | Effect:
    """From the inputs of all resources before and after the change."""
    former, wanted = Deployed.of(before), Deployed.of(after)
    taken = list(steps_between(former.recorder.recorded, wanted.recorder.recorded, service.replaces))
    if any(step.operation in REPLACEMENTS and step.kind in service.KEPT for step in taken):
        return "a replacement"
    (fields,) = [step.changed for step in taken if step.kind == answers.INSTANCE] or [frozenset()]
    if len(fields) > 1 and not fields <= {"nodeType", "engineConfigs"}:
        return "several updates"
    return taken


WALKER = Walker(
    MINIMAL,
    WALKS,
    SAME_AS,
    plan,
    refusals={
        "a replacement": f"or allow it with: {ALLOW_REPLACEMENT}",
        "several updates": "Memorystore allows one changed field per update",
    },
    holding=service.HOLDING,
)


def test_the_table_of_the_docs_is_what_the_program_does() -> None:
    assert_documented(FILE, HEAD, WALKER.predictions(), "gcp", NOT_IN_TABLE)


@pytest.mark.parametrize("name", WALKS)
def test_the_engine_does_what_the_table_says(stack: CloudStack, name: str) -> None:
    WALKER.assert_engine_agrees(stack, name)
