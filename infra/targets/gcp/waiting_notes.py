"""What an update waits for: the provider repeats rejected requests for up to two hours and reports nothing."""

from __future__ import annotations

from infra.targets.gcp.updates import UpdatePlan
from infra.targets.previous_resources import Inputs

CREATION_NOTE = (
    "gcp: the creation takes 10 to 20 minutes; after 30 minutes Google may be rejecting it for lack of quota (429), "
    "which the provider repeats silently for up to 60: check the quotas in Google's console"
)

RESIZING = frozenset({"nodeType", "replicaCount", "shardCount", "engineVersion", "maintenanceVersion"})
"""Fields whose change replaces nodes, one after the other."""


def note(previous: Inputs | None, plan: UpdatePlan) -> str | None:
    """What takes long, and what to check then; None if the instance does not change."""
    if previous is None:
        return CREATION_NOTE
    if not plan.steps:
        return None
    fields = plan.steps[0]
    usual = "up to an hour" if RESIZING & set(fields) else "a few minutes"
    return (
        f"gcp: the update of {' and '.join(fields)} takes {usual}; if it takes longer, Google may be rejecting it for "
        "lack of quota (429), which the provider repeats silently for up to 120 minutes: check the quotas in Google's "
        "console; the update can be interrupted and repeated"
    )
