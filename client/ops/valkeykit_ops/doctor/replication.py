"""Replication checks."""

from __future__ import annotations

from valkeykit.vocabulary import Confidence, Severity

from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target
from valkeykit_ops.nodes import replicas_of

LAG_SECONDS, LAG_BYTES = 10, 64 * 2**20
"""Limits of replication lag, as in the alerts of docs/monitoring.md."""


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about INFO replication."""
    if "role" not in snapshot.info:
        return []
    if snapshot.role != "slave":
        return _of_primary(snapshot, target)
    return [*_writable(snapshot, target), *_of_replica(snapshot, target)]


def _writable(snapshot: Snapshot, target: Target) -> list[Finding]:
    if snapshot.number("slave_read_only", 1):
        return []
    return [
        Finding(
            "replication",
            WARNING,
            "writable-replica",
            "the replica accepts writes (replica-read-only is no)",
            "its primary never receives them, and they are lost at the next full synchronization",
            target.restore_setting(snapshot.node, "CONFIG", "SET", "replica-read-only", "yes"),
            node=str(snapshot.node),
        )
    ]


def _of_replica(snapshot: Snapshot, target: Target) -> list[Finding]:
    primary = f"{snapshot.info.get('master_host')}:{snapshot.info.get('master_port')}"
    if snapshot.info.get("master_link_status") != "up":
        if snapshot.number("master_sync_in_progress"):
            return [
                _finding(
                    snapshot,
                    target,
                    NOTE,
                    "syncing",
                    f"it is synchronizing with its primary {primary}",
                    "its data is stale until then",
                )
            ]
        return [
            _finding(
                snapshot,
                target,
                PROBLEM,
                "link-down",
                f"the link to its primary {primary} is down",
                "it falls behind, and a failover to it loses data",
            )
        ]
    if snapshot.number("master_last_io_seconds_ago") > LAG_SECONDS:
        seconds = snapshot.number("master_last_io_seconds_ago")
        what = f"it has received nothing from its primary {primary} for {seconds:.0f} s"
        return [_finding(snapshot, target, WARNING, "lag", what, "it falls behind")]
    return []


def _of_primary(snapshot: Snapshot, target: Target) -> list[Finding]:
    replicas = replicas_of(snapshot.info)
    if not replicas:
        if target.address.topology in ("replicated", "sentinel"):
            return [
                _finding(
                    snapshot,
                    target,
                    WARNING,
                    "no-replica",
                    "the topology is replicated, but no replica is connected",
                    "there is no replica to fail over to",
                )
            ]
        return []
    results = []
    offset = snapshot.number("master_repl_offset")
    for replica in replicas:
        name = f"{replica.get('ip')}:{replica.get('port')}"
        behind = offset - float(replica.get("offset", offset))
        if replica.get("state") != "online":
            results.append(
                _finding(
                    snapshot,
                    target,
                    NOTE,
                    "syncing",
                    f"the replica {name} is synchronizing",
                    "a failover to it is not possible yet",
                )
            )
        elif float(replica.get("lag", 0)) > LAG_SECONDS or behind > LAG_BYTES:
            what = f"the replica {name} lags: {replica.get('lag')} s, {behind:,.0f} bytes"
            results.append(_finding(snapshot, target, WARNING, "lag", what, "a failover to it loses this data", LIKELY))
    return results


def _finding(  # noqa: PLR0917  (in the order of a finding)
    snapshot: Snapshot,
    target: Target,
    severity: Severity,
    name: str,
    what: str,
    why: str,
    confidence: Confidence = CERTAIN,
) -> Finding:
    fix = target.cli(snapshot.node, "INFO", "replication")
    return Finding("replication", severity, name, what, why, fix, confidence, str(snapshot.node))
