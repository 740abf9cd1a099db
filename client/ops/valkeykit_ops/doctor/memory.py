"""Memory checks: limit, eviction policy and fragmentation."""

from __future__ import annotations

from valkeykit.vocabulary import Severity

from valkeykit_ops.doctor.finding import LIKELY, NOTE, POSSIBLE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

NEARLY_FULL_RATIO = 0.85
"""Share of maxmemory above which a server is nearly full."""

FRAGMENTED_RATIO, SWAPPED_RATIO = 1.5, 0.8
"""Resident per used memory: above the first the memory is fragmented, below the second a part is swapped out."""

MIN_USED_BYTES = 256 * 2**20
"""Below, the ratio is meaningless, since the memory of the program itself dominates."""

MAX_MACHINE_RATIO = 0.8
"""Share of the machine's memory that maxmemory may use; a snapshot needs some for pages that change."""

_MIB = 2**20


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about INFO memory, with regard to the workload."""
    if "used_memory" not in snapshot.info:
        return []
    return [*_limit(snapshot, target), *_policy(snapshot, target), *_fragmentation(snapshot, target)]


def policy_of(snapshot: Snapshot) -> str:
    """The eviction policy."""
    return str(snapshot.info.get("maxmemory_policy", "noeviction"))


def _limit(snapshot: Snapshot, target: Target) -> list[Finding]:
    limit, machine = snapshot.number("maxmemory"), snapshot.number("total_system_memory")
    node = str(snapshot.node)
    if limit == 0:
        size = f"{max(machine * MAX_MACHINE_RATIO / 2 / _MIB, 100):.0f}mb"
        return [
            Finding(
                "memory",
                WARNING,
                "no-limit",
                "maxmemory is 0, so memory use is unlimited",
                "the kernel kills the server when the machine runs out of memory",
                _resize(target, snapshot, size),
                node=node,
            )
        ]
    results = []
    share = (snapshot.number("used_memory") - snapshot.number("mem_not_counted_for_evict")) / limit
    if share >= NEARLY_FULL_RATIO and snapshot.write is None:
        evicts = policy_of(snapshot) != "noeviction"
        results.append(
            Finding(
                "memory",
                NOTE if evicts else WARNING,
                "nearly-full",
                f"{share:.0%} of maxmemory is used",
                "a cache is full by design" if evicts else "writes are rejected at 100 %",
                _resize(target, snapshot, f"{limit * 2 / _MIB:.0f}mb"),
                node=node,
            )
        )
    if machine and limit > machine * MAX_MACHINE_RATIO:
        results.append(
            Finding(
                "memory",
                WARNING,
                "limit-above-machine",
                f"maxmemory is {limit / machine:.0%} of the machine's memory",
                "with a snapshot, a replica's synchronization or client buffers it swaps or is killed by the kernel",
                _resize(target, snapshot, f"{machine * MAX_MACHINE_RATIO / 2 / _MIB:.0f}mb"),
                LIKELY,
                node,
            )
        )
    return results


def _resize(target: Target, snapshot: Snapshot, size: str) -> str:
    return target.configure("valkey:memory", size) or target.cli(snapshot.node, "CONFIG", "SET", "maxmemory", size)


def _policy(snapshot: Snapshot, target: Target) -> list[Finding]:
    policy, workload = policy_of(snapshot), target.workload
    if workload == "queue" and policy.startswith("allkeys-"):
        return [
            _unfit(
                snapshot,
                target,
                PROBLEM,
                f"the eviction policy is {policy}, but the workload is queue",
                "jobs are evicted when the memory is full",
                "noeviction",
            )
        ]
    if workload == "queue" and policy.startswith("volatile-"):
        return [
            _unfit(
                snapshot,
                target,
                WARNING,
                f"the eviction policy is {policy}, but the workload is queue",
                "locks, leases and results have a TTL and can be evicted early",
                "noeviction",
            )
        ]
    if workload == "mixed" and policy.startswith("allkeys-"):
        return [
            _unfit(
                snapshot,
                target,
                PROBLEM,
                f"the eviction policy is {policy}, but the workload is mixed",
                "jobs are evicted when the memory is full",
                "volatile-lru",
            )
        ]
    if workload == "cache" and policy == "noeviction":
        return [
            _unfit(
                snapshot,
                target,
                WARNING,
                "the eviction policy is noeviction, but the workload is cache",
                "a full cache rejects writes instead of evicting old keys",
                "allkeys-lru",
            )
        ]
    databases = [value for key, value in snapshot.info.items() if key.startswith("db") and isinstance(value, dict)]
    keys, lasting = (sum(int(one.get(name, 0)) for one in databases) for name in ("keys", "expires"))
    if policy.startswith("volatile-") and keys and not lasting and workload != "mixed":
        return [
            _unfit(
                snapshot,
                target,
                WARNING,
                f"the eviction policy is {policy}, but no key has a TTL",
                "no key can be evicted, so a full server rejects writes",
                "allkeys-lru",
            )
        ]
    return []


def _unfit(  # noqa: PLR0917  (in the order of a finding)
    snapshot: Snapshot, target: Target, severity: Severity, what: str, why: str, policy: str
) -> Finding:
    fix = target.restore_setting(snapshot.node, "CONFIG", "SET", "maxmemory-policy", policy)
    return Finding("memory", severity, "policy", what, why, fix, node=str(snapshot.node))


def _fragmentation(snapshot: Snapshot, target: Target) -> list[Finding]:
    used, resident = snapshot.number("used_memory"), snapshot.number("used_memory_rss")
    if used < MIN_USED_BYTES or not resident:
        return []
    if resident / used > FRAGMENTED_RATIO:
        jemalloc = "jemalloc" in str(snapshot.info.get("mem_allocator", ""))
        fix = ("CONFIG", "SET", "activedefrag", "yes") if jemalloc else ("MEMORY", "PURGE")
        return [
            Finding(
                "memory",
                WARNING,
                "fragmented",
                f"{resident / _MIB:,.0f} MiB are used for {used / _MIB:,.0f} MiB of data",
                "the machine runs out of memory before maxmemory is reached",
                target.cli(snapshot.node, *fix),
                node=str(snapshot.node),
            )
        ]
    if resident / used < SWAPPED_RATIO:
        return [
            Finding(
                "memory",
                WARNING,
                "swapped",
                f"only {resident / _MIB:,.0f} of {used / _MIB:,.0f} MiB are in memory",
                "the rest is swapped out, so access to it waits for the disk",
                "grep VmSwap /proc/$(pidof valkey-server)/status",
                POSSIBLE,
                str(snapshot.node),
            )
        ]
    return []
