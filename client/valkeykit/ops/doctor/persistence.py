"""Does the data survive a restart?"""

from __future__ import annotations

from valkeykit.ops.doctor.finding import LIKELY, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.memory import policy_of
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """What INFO persistence says, against what the server is for."""
    if "aof_enabled" not in seen.info:
        return []
    found, node = [], str(seen.node)
    if seen.info.get("rdb_last_bgsave_status") == "err":
        found.append(Finding(
            "persistence", WARNING, "save-failed", "the last snapshot failed",
            "the newest one is old; the disk is full, the folder isn't the server's, or fork() got no memory "
            "(vm.overcommit_memory=0)",
            target.cli(seen.node, "BGSAVE"), node=node,
        ))  # fmt: skip
    if seen.info.get("aof_last_write_status") == "err":
        found.append(Finding(
            "persistence", PROBLEM, "aof-failed", "the append-only file can't be written",
            "writes are refused, or lost at a restart", target.cli(seen.node, "CONFIG", "GET", "dir"), node=node,
        ))  # fmt: skip
    if seen.info.get("aof_last_bgrewrite_status") == "err":
        found.append(Finding(
            "persistence", WARNING, "rewrite-failed", "the append-only file couldn't be rewritten",
            "it grows until the disk is full", target.cli(seen.node, "BGREWRITEAOF"), node=node,
        ))  # fmt: skip
    if _is_kept(seen, target) and not _is_saved(seen):
        found.append(Finding(
            "persistence", WARNING, "off", "nothing is saved to disk, and the server keeps what it is given",
            "a restart loses it all", target.repaired(seen.node, "CONFIG", "SET", "appendonly", "yes"),
            sure="certain" if "save" in seen.config else LIKELY, node=node,
        ))  # fmt: skip
    return found


def _is_kept(seen: Snapshot, target: Target) -> bool:
    """Whether the data is meant to stay: that of a queue, or what is never evicted."""
    if target.workload is not None:
        return target.workload != "cache"
    return policy_of(seen) == "noeviction"


def _is_saved(seen: Snapshot) -> bool:
    """Where CONFIG isn't permitted, only a server that has never saved counts as one that doesn't."""
    if seen.number("aof_enabled"):
        return True
    if "save" in seen.config:
        return bool(seen.config["save"])
    return seen.number("rdb_saves", 1.0) > 0
