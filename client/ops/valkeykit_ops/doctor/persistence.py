"""Persistence checks."""

from __future__ import annotations

import math
import time

from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.memory import policy_of
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

MAX_LOSS_SECONDS = 86_400.0
"""A snapshot that is due later than this does not protect data that must survive a restart."""


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about INFO persistence, with regard to the workload."""
    if "aof_enabled" not in snapshot.info:
        return []
    results, node = [], str(snapshot.node)
    if snapshot.info.get("rdb_last_bgsave_status") == "err":
        results.append(
            Finding(
                "persistence",
                WARNING,
                "save-failed",
                "the last snapshot failed",
                "the latest snapshot is old; the disk is full, the directory is not writable, or fork() got no memory "
                "(vm.overcommit_memory=0)",
                target.cli(snapshot.node, "BGSAVE"),
                node=node,
            )
        )
    if snapshot.info.get("aof_last_write_status") == "err":
        results.append(
            Finding(
                "persistence",
                PROBLEM,
                "aof-failed",
                "the append-only file cannot be written",
                "writes are rejected, or lost at a restart; free space in its directory, and the server continues",
                target.cli(snapshot.node, "CONFIG", "GET", "dir"),
                node=node,
            )
        )
    if snapshot.info.get("aof_last_bgrewrite_status") == "err":
        results.append(
            Finding(
                "persistence",
                WARNING,
                "rewrite-failed",
                "the rewrite of the append-only file failed",
                "it grows until the disk is full",
                target.cli(snapshot.node, "BGREWRITEAOF"),
                node=node,
            )
        )
    if _is_kept(snapshot, target) and (due := _seconds_until_due(snapshot)) is not None and due > MAX_LOSS_SECONDS:
        changes = snapshot.number("rdb_changes_since_last_save")
        when = "no save point covers them" if due == math.inf else f"the next snapshot is due in {due / 3600:,.0f} h"
        results.append(
            Finding(
                "persistence",
                WARNING,
                "rarely-saved",
                f"{changes:,.0f} changes are not in a snapshot, and {when}",
                "a restart loses them",
                target.restore_setting(snapshot.node, "CONFIG", "SET", "appendonly", "yes"),
                node=node,
            )
        )
    if _is_kept(snapshot, target) and not _is_saved(snapshot):
        results.append(
            Finding(
                "persistence",
                WARNING,
                "off",
                "persistence is off, but the data is not a cache",
                "a restart loses all data",
                target.restore_setting(snapshot.node, "CONFIG", "SET", "appendonly", "yes"),
                confidence=CERTAIN if "save" in snapshot.config else LIKELY,
                node=node,
            )
        )
    return results


def _is_kept(snapshot: Snapshot, target: Target) -> bool:
    """Whether the data must survive a restart: jobs, or keys that are never evicted."""
    if target.workload is not None:
        return target.workload != "cache"
    return policy_of(snapshot) == "noeviction"


def _seconds_until_due(snapshot: Snapshot) -> float | None:
    """Seconds until the next automatic snapshot of the present changes; None without changes or if it is unknown."""
    words = str(snapshot.config.get("save", "")).split()
    changes = snapshot.number("rdb_changes_since_last_save")
    if snapshot.number("aof_enabled") or not words or not changes:
        return None
    age = time.time() - snapshot.number("rdb_last_save_time")
    periods = [
        float(seconds) for seconds, least in zip(words[::2], words[1::2], strict=False) if float(least) <= changes
    ]
    return max(min(periods) - age, 0.0) if periods else math.inf


def _is_saved(snapshot: Snapshot) -> bool:
    """Without permission for CONFIG, only a server that has never saved counts as one without persistence."""
    if snapshot.number("aof_enabled"):
        return True
    if "save" in snapshot.config:
        return bool(snapshot.config["save"])
    return snapshot.number("rdb_saves", 1.0) > 0
