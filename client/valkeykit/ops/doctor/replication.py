"""Are there replicas, and do they follow?"""

from __future__ import annotations

from valkeykit.ops.doctor.finding import LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target
from valkeykit.ops.fleet import replicas_of

LAG_SECONDS, LAG_BYTES = 10, 64 * 2**20
"""From where on a replica lags, as the alerts of docs/monitoring.md have it."""


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """What INFO replication says."""
    if "role" not in seen.info:
        return []
    return _of_replica(seen, target) if seen.role == "slave" else _of_primary(seen, target)


def _of_replica(seen: Snapshot, target: Target) -> list[Finding]:
    primary = f"{seen.info.get('master_host')}:{seen.info.get('master_port')}"
    if seen.info.get("master_link_status") != "up":
        if seen.number("master_sync_in_progress"):
            return [_found(seen, target, NOTE, "syncing", f"it copies all data of its primary {primary}",
                           "its own data is old until then")]  # fmt: skip
        return [_found(seen, target, PROBLEM, "link-down", f"the link to its primary {primary} is down",
                       "it falls behind, and can't take over without a loss")]  # fmt: skip
    if seen.number("master_last_io_seconds_ago") > LAG_SECONDS:
        seconds = seen.number("master_last_io_seconds_ago")
        what = f"it has heard nothing of its primary {primary} for {seconds:.0f} s"
        return [_found(seen, target, WARNING, "lag", what, "it falls behind")]
    return []


def _of_primary(seen: Snapshot, target: Target) -> list[Finding]:
    replicas = replicas_of(seen.info)
    if not replicas:
        if target.address.topology in ("replicated", "sentinel"):
            return [_found(seen, target, WARNING, "no-replica", "the topology is replicated, and no replica follows",
                           "there is nobody to fail over to")]  # fmt: skip
        return []
    found = []
    offset = seen.number("master_repl_offset")
    for replica in replicas:
        name = f"{replica.get('ip')}:{replica.get('port')}"
        behind = offset - float(replica.get("offset", offset))
        if replica.get("state") != "online":
            found.append(
                _found(seen, target, NOTE, "syncing", f"the replica {name} copies all data", "it can't take over yet")
            )
        elif float(replica.get("lag", 0)) > LAG_SECONDS or behind > LAG_BYTES:
            what = f"the replica {name} lags: {replica.get('lag')} s, {behind:,.0f} bytes"
            found.append(_found(seen, target, WARNING, "lag", what, "a failover to it would lose that much", LIKELY))
    return found


def _found(  # noqa: PLR0917  (a sentence in its order)
    seen: Snapshot, target: Target, severity: str, name: str, what: str, why: str, sure: str = "certain"
) -> Finding:
    fix = target.cli(seen.node, "INFO", "replication")
    return Finding("replication", severity, name, what, why, fix, sure, str(seen.node))
