"""What must hold before anything is copied, each with the step that mends it; and the plan."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from redis.exceptions import RedisError

from valkeykit.ops.migrate import functions, inventory, reader, rights
from valkeykit.ops.migrate.inventory import Inventory
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.server import Server, fields_of, same

OLDEST_SOURCE = (6, 2)
OLDEST_TARGET = (7, 2)

OVERHEAD = 1.1
"""The target needs this much of what the data takes at the source."""

BYTES_PER_SECOND = 60e6
COST_OF_BOTH_SIDES = 2.5
"""Time of a whole copy, in times of reading alone."""


@dataclass(frozen=True)
class Check:
    """ok: None for a warning."""

    name: str
    ok: bool | None
    text: str
    fix: str = ""


@dataclass
class Plan:
    """What was found, and what it means."""

    source: str
    target: str
    keys: int
    seconds: float
    checks: list[Check] = field(default_factory=list)
    inventory: Inventory | None = None

    @property
    def is_go(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"go": self.is_go}


def examine(job: Job, *, full: bool, continuing: bool) -> Plan:
    """Look at both sides; nothing is written.

    full: take an inventory of all keys in any case, not only where something may not be movable.
    continuing: the target already has a part of the data.

    Raises:
        redis.RedisError: a side can't be reached, or refuses a command without which nothing can be said.
    """
    sizes = {number: size for number, size in job.source.sizes().items() if job.options.scope.includes(number)}
    keys = sum(sizes.values())
    plan = Plan(job.source.name, job.target.name, keys, _estimate(job, sizes))
    plan.checks += [_versions(job), _distinct(job), _databases(job, sizes)]
    plan.checks += [_rights(side, names) for side, names in rights.refused(job, sizes).items()]
    if plan.is_go:
        plan.checks += [*_libraries(job), _eviction(job.target)]
        if not continuing:
            plan.checks += [_emptiness(job, sizes), _memory(job)]
    if plan.is_go:
        plan.checks += _movable(job, plan, full=full)
    return plan


def _versions(job: Job) -> Check:
    text = f"{job.source.name} → {job.target.name}"
    if job.source.engine == "redis" and job.source.release < OLDEST_SOURCE:
        return Check("versions", False, f"{text}: the source is older than Redis 6.2", "upgrade the source first")
    if job.target.engine != "valkey" and not job.options.way_back:
        return Check("versions", False, f"{text}: the target is no Valkey", "for the way back: --way-back")
    if job.target.engine == "valkey" and job.target.release < OLDEST_TARGET:
        return Check("versions", False, f"{text}: the target is older than Valkey 7.2", "take a newer target")
    return Check("versions", True, text)


def _distinct(job: Job) -> Check:
    if same(job.source, job.target):
        return Check("two servers", False, "source and target are the same server", "correct one of the addresses")
    return Check("two servers", True, "source and target are different servers")


def _rights(side: str, refused: list[str]) -> Check:
    name = f"rights at the {side}"
    if not refused:
        return Check(name, True, "every command that is needed")
    return Check(
        name,
        False,
        f"the {side} refuses {', '.join(refused)}",
        f"let its user run them on the keys that are meant, such as ACL SETUSER … +{refused[0].split()[0].lower()}; "
        "or log in as another user",
    )


def _databases(job: Job, sizes: dict[int, int]) -> Check:
    node = job.target.primaries()[0].node
    refused = []
    for number in sizes:
        try:
            job.target.wire(node, number).close()
        except RedisError:
            refused.append(number)
    named = ", ".join(map(str, sizes)) or "none"
    if refused:
        return Check(
            "databases", False, f"the source uses databases {named}; the target has no {refused}",
            "raise `databases` (`cluster-databases` of a cluster) at the target, or choose some by --database",
        )  # fmt: skip
    return Check("databases", True, f"in use: {named}")


def _emptiness(job: Job, sizes: dict[int, int]) -> Check:
    there = occupied(job, sizes)
    if not there:
        return Check("target", True, "empty, as far as this migration is concerned")
    if job.options.conflict == "fail":
        return Check("target", False, f"the target already has such keys in {there}",
                     "empty it, or choose --conflict skip or replace")  # fmt: skip
    return Check("target", None, f"has such keys in {there}; conflicts: {job.options.conflict}")


def occupied(job: Job, sizes: dict[int, int]) -> str:
    """Which databases of the target have keys in scope; empty where none has."""
    pattern = job.options.scope.target_pattern
    there = job.target.sizes()
    found = [number for number in sizes if there.get(number) and (pattern is None or _matches(job, number, pattern))]
    return ", ".join(f"database {number} ({there[number]:,} keys)" for number in found)


def _matches(job: Job, number: int, pattern: bytes) -> bool:
    for primary in job.target.primaries():
        wire = job.target.wire(primary.node, number)
        try:
            cursor, keys = wire.call("SCAN", 0, "MATCH", pattern, "COUNT", 1000)
            while not keys and cursor != b"0":
                cursor, keys = wire.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        finally:
            wire.close()
        if keys:
            return True
    return False


def _memory(job: Job) -> Check:
    needed = OVERHEAD * sum(
        _number(job.source, primary, "used_memory") - _number(job.source, primary, "used_memory_startup")
        for primary in job.source.primaries()
    )
    free = 0
    for primary in job.target.primaries():
        limit = _number(job.target, primary, "maxmemory") or _number(job.target, primary, "total_system_memory")
        free += limit - _number(job.target, primary, "used_memory")
    text = f"needed about {needed / 2**20:,.0f} MiB, free at the target {free / 2**20:,.0f} MiB"
    if needed <= free:
        return Check("memory", True, text)
    if not job.options.scope.is_everything:
        return Check("memory", None, f"{text}, if all were copied")
    return Check("memory", False, text, "raise maxmemory, take a larger target, or copy less")


def _number(server: Server, primary: Any, name: str) -> int:
    return int(server.info(primary.node, "memory").get(name, 0))


def _eviction(target: Server) -> Check:
    policy = target.info(target.primaries()[0].node, "memory").get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return Check("eviction", True, "the target evicts nothing")
    return Check("eviction", None, f"the target evicts by {policy} when it is full: keys may go during the copy")


def _libraries(job: Job) -> list[Check]:
    try:
        there, here = functions.libraries(job.target), functions.libraries(job.source)
    except RedisError:
        return [Check("functions", None, "FUNCTION LIST is refused, so libraries aren't copied")]
    clash = [name for name, code in here.items() if there.get(name, code) != code]
    if clash and job.options.conflict == "fail":
        return [Check("functions", False, f"the target has other libraries of the names {', '.join(clash)}",
                      "choose --conflict skip or replace")]  # fmt: skip
    return [Check("functions", True, f"libraries: {', '.join(here) or 'none'}")]


def _movable(job: Job, plan: Plan, *, full: bool) -> list[Check]:
    modules = _modules(job.source)
    ttls = not job.target.has_field_ttl and _uses_field_ttls(job.source)
    if not (full or modules or ttls):
        return [Check("types", True, "the source has no modules: every type can be moved")]
    plan.inventory = inventory.take(job, field_ttls=ttls)
    lost = plan.inventory.unmovable + plan.inventory.field_ttls
    what = f"modules at the source: {', '.join(modules) or 'none'}"
    if not lost:
        return [Check("types", True, f"{what}; every key can be moved")]
    text = (
        f"{what}; {plan.inventory.unmovable} keys of types that the target doesn't have, {plan.inventory.field_ttls} "
        f"hashes whose fields have TTLs that it doesn't have; named in {job.unmovable.path.name}"
    )
    if job.options.accept_loss:
        return [Check("types", None, text)]
    return [Check("types", False, text, "--accept-loss goes on without them")]


def _modules(server: Server) -> list[str]:
    text = server.lines(server.primaries()[0].node, "modules")
    return [fields_of(line.partition(":")[2]).get("name", "?") for line in text if line.startswith("module:")]


def _uses_field_ttls(server: Server) -> bool:
    if not server.has_field_ttl:
        return False
    return any(
        int(fields_of(value).get("subexpiry", 0)) or int(fields_of(value).get("keys_with_volatile_items", 0))
        for primary in server.primaries()
        for value in server.info(primary.node, "keyspace").values()
    )


def _estimate(job: Job, sizes: dict[int, int]) -> float:
    """Seconds that the copy may take, from reading a few keys."""
    if not sizes:
        return 0.0
    number, key = rights.some_key(job, sizes)
    if key is None:
        return 0.0
    source = Router(job.source, number)
    wire = source.holder(key)
    try:
        _, keys = wire.call("SCAN", 0, "COUNT", 500)
        light = [name for name, weight in zip(keys, reader.weights(source, keys), strict=True)
                 if weight and weight <= job.options.slice_above]  # fmt: skip
        began = time.monotonic()
        reader.values(source, light)
        each = (time.monotonic() - began) / max(1, len(light))
    except RedisError:
        return 0.0
    finally:
        source.close()
    data = sum(_number(job.source, primary, "used_memory_dataset") for primary in job.source.primaries())
    return max(sum(sizes.values()) * each * COST_OF_BOTH_SIDES, data / BYTES_PER_SECOND)
