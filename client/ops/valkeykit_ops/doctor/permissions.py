"""Permission checks: missing and excessive permissions of the user."""

from __future__ import annotations

from valkeykit_ops.doctor.finding import LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

_QUEUE_ONLY = {"BLMOVE"}
"""Commands that a cache does not need."""


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about missing and excessive permissions."""
    results: list[Finding] = []
    user, node = snapshot.user or target.address.username or "default", str(snapshot.node)
    if not snapshot.info:
        results.append(
            Finding(
                "permissions",
                WARNING,
                "info-refused",
                f"the user {user} is not permitted to run INFO",
                "most checks need INFO, and connect() cannot detect a cluster without it",
                target.cli(snapshot.node, "ACL", "SETUSER", user, "+info"),
                node=node,
            )
        )
    probes = snapshot.probes
    if not probes.is_known and not probes.is_held and snapshot.mode != "sentinel":
        results.append(
            Finding(
                "permissions",
                NOTE,
                "multi-refused",
                f"the user {user} is not permitted to run MULTI",
                "other permissions cannot be checked without running the commands",
                target.cli(snapshot.node, "ACL", "SETUSER", user, "+multi", "+discard"),
                node=node,
            )
        )
    missing = [name for name in probes.missing if name not in _QUEUE_ONLY or target.workload != "cache"]
    if missing:
        results.append(
            Finding(
                "permissions",
                PROBLEM,
                "not-permitted",
                f"the user {user} is not permitted to run {', '.join(missing)}",
                "cache and queue need them",
                target.restore_setting(
                    snapshot.node, "ACL", "SETUSER", user, *(f"+{name.lower()}" for name in missing)
                ),
                node=node,
            )
        )
    if probes.is_key_limited:
        results.append(
            Finding(
                "permissions",
                NOTE,
                "limited-keys",
                f"the user {user} is limited to key patterns, which it may not read",
                "whether writes are accepted is unknown, and cache and queue need names that match",
                target.cli(snapshot.node, "ACL", "GETUSER", user),
                node=node,
            )
        )
    if probes.dangerous:
        rules = ("-@admin", "-@dangerous", "+info")
        is_default = user == "default"
        another = target.new_password(snapshot.node, "app", "~*", "&*", "+@all", *rules)
        fix = (
            another
            if is_default and target.stack is None
            else target.restore_setting(snapshot.node, "ACL", "SETUSER", user, *rules)
        )
        results.append(
            Finding(
                "permissions",
                NOTE if is_default else WARNING,
                "too-much",
                f"the user {user} is permitted to run {', '.join(probes.dangerous)}",
                "an application with this user can empty or reconfigure the server",
                fix,
                LIKELY,
                node=node,
            )
        )
    return results
