"""What the user may do, and what it may not."""

from __future__ import annotations

from valkeykit.ops.doctor.finding import LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target

_QUEUE_ONLY = {"BLMOVE"}
"""Commands that a cache doesn't need."""


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """Rights that are missing, and rights that are too many."""
    found: list[Finding] = []
    user, node = seen.user or target.address.username or "default", str(seen.node)
    if not seen.info:
        found.append(Finding(
            "permissions", WARNING, "info-refused", f"the user {user} may not run INFO",
            "what the server says of itself can't be judged, and connect() can't tell a cluster",
            target.cli(seen.node, "ACL", "SETUSER", user, "+info"), node=node,
        ))  # fmt: skip
    if not seen.is_probed and seen.mode != "sentinel":
        found.append(Finding(
            "permissions", NOTE, "multi-refused", f"the user {user} may not run MULTI",
            "what else it may do can't be probed without doing it",
            target.cli(seen.node, "ACL", "SETUSER", user, "+multi", "+discard"), node=node,
        ))  # fmt: skip
    lacking = [name for name in seen.lacking if name not in _QUEUE_ONLY or target.workload != "cache"]
    if lacking:
        found.append(Finding(
            "permissions", PROBLEM, "not-permitted", f"the user {user} may not run {', '.join(lacking)}",
            "cache and queue need them; the key's name may be what isn't permitted, too",
            target.repaired(seen.node, "ACL", "SETUSER", user, *(f"+{name.lower()}" for name in lacking)), node=node,
        ))  # fmt: skip
    if seen.excess:
        rights = ("-@admin", "-@dangerous", "+info")
        is_default = user == "default"
        another = target.new_password(seen.node, "app", "~*", "&*", "+@all", *rights)
        fix = (
            another
            if is_default and target.stack is None
            else target.repaired(seen.node, "ACL", "SETUSER", user, *rights)
        )
        found.append(Finding(
            "permissions", NOTE if is_default else WARNING, "too-much",
            f"the user {user} may run {', '.join(seen.excess)}",
            "an application with this user can empty or reconfigure the server",
            fix, LIKELY, node=node,
        ))  # fmt: skip
    return found
