"""Pause checks: clients that the server holds back on request."""

from __future__ import annotations

from dataclasses import replace

from valkeykit_ops.doctor import error_findings
from valkeykit_ops.doctor.finding import LIKELY, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """The finding for a server that holds back writes. Older servers do not report it, so the probe also counts."""
    actions = str(snapshot.info.get("paused_actions", "none"))
    if actions in {"none", "evict"} and not snapshot.probes.is_held:
        return []
    seconds = snapshot.number("paused_timeout_milliseconds") / 1000
    remaining = f" for another {seconds:,.0f} s" if seconds else ""
    if "failover" in str(snapshot.info.get("paused_reason", "")):
        what = f"writes are held back{remaining}: a failover is in progress"
        finding = error_findings.from_name("paused", what, target, snapshot.node)
        return [replace(finding, fix=target.cli(snapshot.node, "INFO", "replication"))]
    what = f"writes are held back{remaining} by CLIENT PAUSE or a failover"
    if actions != "none":
        what = f"writes are held back{remaining} by CLIENT PAUSE"
        return [error_findings.from_name("paused", what, target, snapshot.node)]
    return [error_findings.from_name("paused", what, target, snapshot.node, LIKELY)]
