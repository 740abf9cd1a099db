"""Memory checks: limit, eviction policy and fragmentation."""

from __future__ import annotations

import math

from redis.exceptions import OutOfMemoryError
from valkeykit.vocabulary import Severity

from valkeykit_ops.doctor.finding import LIKELY, NOTE, POSSIBLE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

NEARLY_FULL_RATIO, FULL_RATIO = 0.85, 0.95
"""Shares of maxmemory: above the first a server is nearly full, above the second it is full if it rejected writes."""

MIN_LIMIT_BYTES = 100 * 2**20
"""The smallest limit that is recommended for a server without one."""

MIN_FREE_RATIO = 1.2
"""A new limit per used memory, so that the server is not nearly full at once."""

FRAGMENTED_RATIO, SWAPPED_RATIO = 1.5, 0.8
"""Resident per used memory: above the first the memory is fragmented, below the second a part is swapped out."""

MIN_USED_BYTES = 256 * 2**20
"""Below, the ratio is meaningless, since the memory of the program itself dominates."""

MAX_MACHINE_RATIO = 0.8
"""Share of the machine's memory that maxmemory may use; a snapshot needs some for pages that change."""

MANY_SCRIPTS = 1_000
"""Applications have some dozen scripts."""

_MIB = 2**20


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about INFO memory, with regard to the workload."""
    if "used_memory" not in snapshot.info:
        return []
    return [
        *_limit(snapshot, target),
        *_policy(snapshot, target),
        *_fragmentation(snapshot, target),
        *_scripts(snapshot, target),
    ]


def policy_of(snapshot: Snapshot) -> str:
    """The eviction policy."""
    return str(snapshot.info.get("maxmemory_policy", "noeviction"))


def _limit(snapshot: Snapshot, target: Target) -> list[Finding]:
    limit, machine = snapshot.number("maxmemory"), snapshot.number("total_system_memory")
    node = str(snapshot.node)
    if limit == 0:
        return [
            Finding(
                "memory",
                WARNING,
                "no-limit",
                "maxmemory is 0, so memory use is unlimited",
                "the kernel kills the server when the machine runs out of memory",
                _resize(target, snapshot, max(machine * MAX_MACHINE_RATIO / 2, MIN_LIMIT_BYTES)),
                node=node,
            )
        ]
    results = []
    share = (snapshot.number("used_memory") - snapshot.number("mem_not_counted_for_evict")) / limit
    larger = _resize(target, snapshot, limit * 2)
    if _rejects_writes(snapshot, share):
        results.append(
            Finding(
                "memory",
                PROBLEM,
                "out-of-memory",
                f"the memory is full: {share:.0%} of maxmemory ({_size(limit)}) is used and no key can be evicted",
                "writes are rejected; reads work",
                larger,
                node=node,
            )
        )
    elif share >= NEARLY_FULL_RATIO:
        results.append(
            Finding(
                "memory",
                NOTE if _evicts(snapshot) else WARNING,
                "nearly-full",
                f"{share:.0%} of maxmemory ({_size(limit)}) is used",
                "a cache is full by design" if _evicts(snapshot) else "writes are rejected at 100 %",
                larger,
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
                _resize(target, snapshot, machine * MAX_MACHINE_RATIO / 2),
                LIKELY,
                node,
            )
        )
    return results


def _rejects_writes(snapshot: Snapshot, share: float) -> bool:
    """Whether writes fail now. At the limit, buffers come and go, so that a small write may pass between failures."""
    if isinstance(snapshot.probes.write, OutOfMemoryError):
        return True
    return not _evicts(snapshot) and (share >= 1 or (share >= FULL_RATIO and snapshot.errors("OOM") > 0))


def _evicts(snapshot: Snapshot) -> bool:
    """Whether keys can be evicted: a volatile policy evicts only keys with a TTL."""
    policy = policy_of(snapshot)
    return policy != "noeviction" and not (policy.startswith("volatile-") and not _keys(snapshot)[1])


def _keys(snapshot: Snapshot) -> tuple[int, int]:
    """Number of keys, and of those with a TTL."""
    databases = [value for key, value in snapshot.info.items() if key.startswith("db") and isinstance(value, dict)]
    keys, lasting = (sum(int(one.get(name, 0)) for one in databases) for name in ("keys", "expires"))
    return keys, lasting


def _resize(target: Target, snapshot: Snapshot, wanted: float) -> str:
    """Set maxmemory to what is wanted and fits: more than the data, less than the machine.

    Without room, the biggest keys are shown.
    """
    machine = snapshot.number("total_system_memory")
    least = snapshot.number("used_memory") * MIN_FREE_RATIO
    size = max(wanted, least)
    if machine:
        size = min(size, machine * MAX_MACHINE_RATIO)
    if size < least:
        return target.tool("stats")
    text = _size(size)
    return target.configure("valkey:memory", text) or target.cli(snapshot.node, "CONFIG", "SET", "maxmemory", text)


def _size(number: float) -> str:
    """A size that the server understands, rounded up."""
    return f"{math.ceil(number / _MIB)}mb" if number >= _MIB else f"{math.ceil(number / 1024)}kb"


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
    keys, lasting = _keys(snapshot)
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
        purge = target.cli(snapshot.node, "MEMORY", "PURGE")
        defragment = target.cli(snapshot.node, "CONFIG", "SET", "activedefrag", "yes")
        return [
            Finding(
                "memory",
                WARNING,
                "fragmented",
                f"{resident / _MIB:,.0f} MiB are used for {used / _MIB:,.0f} MiB of data",
                "the machine runs out of memory before maxmemory is reached",
                f"{defragment} || {purge}" if jemalloc else purge,  # some builds cannot defragment
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
                "the rest is swapped out, so access to it waits for the disk; on the server's machine:",
                f"grep VmSwap /proc/{snapshot.number('process_id'):.0f}/status",
                POSSIBLE,
                str(snapshot.node),
            )
        ]
    return []


def _scripts(snapshot: Snapshot, target: Target) -> list[Finding]:
    number = snapshot.number("number_of_cached_scripts")
    if number < MANY_SCRIPTS:
        return []
    size = snapshot.number("used_memory_scripts", snapshot.number("used_memory_scripts_eval"))
    return [
        Finding(
            "memory",
            NOTE,
            "scripts",
            f"{number:,.0f} scripts are cached, which use {size / _MIB:,.0f} MiB",
            "an application writes values into the text of its scripts instead of passing them as arguments",
            target.cli(snapshot.node, "SCRIPT", "FLUSH", "ASYNC"),
            node=str(snapshot.node),
        )
    ]
