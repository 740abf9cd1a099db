"""Checks of a stack's data around a change: lost keys before it, repaired nodes after it."""

from __future__ import annotations

from datetime import datetime, timezone

from valkeykit.errors import ValkeykitError

from infra.hardening import SELF_HOSTED
from infra.outputs import ENDPOINT
from stackctl import keycounts, keyspace
from stackctl.stack import Stack


def before_change(stack: Stack) -> str:
    """Count the keys before a change, so that a loss is attributed to it. Returns a warning or "".

    It doesn't fail where they can't be counted: `up` and the smoke tests report why.
    """
    try:
        outputs = stack.outputs()
        if outputs[ENDPOINT]["target"] not in SELF_HOSTED:  # often unreachable, which takes seconds to notice
            return ""
        report = keycounts.review(stack.root, stack.name, keyspace.of_stack(outputs))
    except (ValkeykitError, OSError):
        return ""
    return " ".join(filter(None, (report.failure, report.warning)))


def recoveries(stack: Stack) -> list[str]:
    """What happened to the data of its containers since the last call, a line each; none for other targets."""
    since, now = keycounts.repairs_reported(stack.root, stack.name), datetime.now(timezone.utc)
    lines = []
    try:
        if since and stack.outputs()[ENDPOINT]["target"] == "docker":
            from infra.providers import docker as containers  # loads Pulumi

            lines = containers.recoveries(stack.resource("Containers"), since)
    except (ValkeykitError, OSError):
        return []
    keycounts.record_repairs_reported(stack.root, stack.name, now)
    return lines
