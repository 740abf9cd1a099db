"""Is there room, and what happens when there is none?"""

from __future__ import annotations

from valkeykit.ops.doctor.finding import LIKELY, NOTE, POSSIBLE, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target

NEARLY_FULL = 0.85
"""Share of maxmemory from which a server that doesn't evict is nearly full."""

FRAGMENTED, SWAPPED = 1.5, 0.8
"""Resident memory against what is used: above, the allocator wastes; below, a part was swapped out."""

WORTH_IT = 256 * 2**20
"""Bytes below which that ratio says nothing: the program's own memory outweighs the data."""

OF_THE_MACHINE = 0.8
"""Share of the machine's memory that maxmemory may take: a snapshot needs some for pages that change meanwhile."""

_MIB = 2**20


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """What INFO memory says, against what the server is for."""
    if "used_memory" not in seen.info:
        return []
    return [*_limit(seen, target), *_policy(seen, target), *_shape(seen, target)]


def policy_of(seen: Snapshot) -> str:
    """The eviction policy; INFO has it everywhere."""
    return str(seen.info.get("maxmemory_policy", "noeviction"))


def _limit(seen: Snapshot, target: Target) -> list[Finding]:
    limit, machine = seen.number("maxmemory"), seen.number("total_system_memory")
    node = str(seen.node)
    if limit == 0:
        size = f"{max(machine * OF_THE_MACHINE / 2 / _MIB, 100):.0f}mb"
        return [Finding(
            "memory", WARNING, "no-limit", "maxmemory is 0: the data may grow without a limit",
            "in the end the kernel kills the server", _resize(target, seen, size), node=node,
        )]  # fmt: skip
    found = []
    share = (seen.number("used_memory") - seen.number("mem_not_counted_for_evict")) / limit
    if share >= NEARLY_FULL and seen.write is None:
        evicts = policy_of(seen) != "noeviction"
        found.append(Finding(
            "memory", NOTE if evicts else WARNING, "nearly-full", f"{share:.0%} of maxmemory is used",
            "a cache is full by design" if evicts else "writes are refused at 100 %",
            _resize(target, seen, f"{limit * 2 / _MIB:.0f}mb"), node=node,
        ))  # fmt: skip
    if machine and limit > machine * OF_THE_MACHINE:
        found.append(Finding(
            "memory", WARNING, "limit-above-machine",
            f"maxmemory is {limit / machine:.0%} of the machine's memory",
            "a snapshot, a replica's copy or the clients' buffers make it swap, or end in the kernel's killer",
            _resize(target, seen, f"{machine * OF_THE_MACHINE / 2 / _MIB:.0f}mb"), LIKELY, node,
        ))  # fmt: skip
    return found


def _resize(target: Target, seen: Snapshot, size: str) -> str:
    return target.configure("valkey:memory", size) or target.cli(seen.node, "CONFIG", "SET", "maxmemory", size)


def _policy(seen: Snapshot, target: Target) -> list[Finding]:
    policy, workload = policy_of(seen), target.workload
    if workload == "queue" and policy.startswith("allkeys-"):
        return [_unfit(seen, target, PROBLEM, f"the policy is {policy}, and the workload a queue",
                       "jobs are evicted when the memory is full", "noeviction")]  # fmt: skip
    if workload == "queue" and policy.startswith("volatile-"):
        return [_unfit(seen, target, WARNING, f"the policy is {policy}, and the workload a queue",
                       "locks, leases and results have a TTL and may be evicted early", "noeviction")]  # fmt: skip
    if workload == "mixed" and policy.startswith("allkeys-"):
        return [_unfit(seen, target, PROBLEM, f"the policy is {policy}, and the workload holds jobs too",
                       "jobs are evicted when the memory is full", "volatile-lru")]  # fmt: skip
    if workload == "cache" and policy == "noeviction":
        return [_unfit(seen, target, WARNING, "the policy is noeviction, and the workload a cache",
                       "a full cache refuses writes instead of dropping what is old", "allkeys-lru")]  # fmt: skip
    databases = [value for key, value in seen.info.items() if key.startswith("db") and isinstance(value, dict)]
    keys, lasting = (sum(int(one.get(name, 0)) for one in databases) for name in ("keys", "expires"))
    if policy.startswith("volatile-") and keys and not lasting and workload != "mixed":
        return [_unfit(seen, target, WARNING, f"the policy is {policy}, and no key has a TTL",
                       "nothing can be evicted, so a full server refuses writes", "allkeys-lru")]  # fmt: skip
    return []


def _unfit(  # noqa: PLR0917  (a sentence in its order)
    seen: Snapshot, target: Target, severity: str, what: str, why: str, policy: str
) -> Finding:
    fix = target.repaired(seen.node, "CONFIG", "SET", "maxmemory-policy", policy)
    return Finding("memory", severity, "policy", what, why, fix, node=str(seen.node))


def _shape(seen: Snapshot, target: Target) -> list[Finding]:
    used, resident = seen.number("used_memory"), seen.number("used_memory_rss")
    if used < WORTH_IT or not resident:
        return []
    if resident / used > FRAGMENTED:
        jemalloc = "jemalloc" in str(seen.info.get("mem_allocator", ""))
        fix = ("CONFIG", "SET", "activedefrag", "yes") if jemalloc else ("MEMORY", "PURGE")
        return [Finding(
            "memory", WARNING, "fragmented",
            f"{resident / _MIB:,.0f} MiB are taken for {used / _MIB:,.0f} MiB of data",
            "the machine runs out of memory before maxmemory is reached",
            target.cli(seen.node, *fix), node=str(seen.node),
        )]  # fmt: skip
    if resident / used < SWAPPED:
        return [Finding(
            "memory", WARNING, "swapped", f"only {resident / _MIB:,.0f} of {used / _MIB:,.0f} MiB are in memory",
            "the rest was swapped out, and each key there waits for the disk",
            "grep VmSwap /proc/$(pidof valkey-server)/status", POSSIBLE, str(seen.node),
        )]  # fmt: skip
    return []
