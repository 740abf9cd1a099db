"""Preflight checks, each with its fix, and the migration plan."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from redis.exceptions import RedisError

from valkeykit_ops.migrate import access_checks, functions, inventory, permissions, reader
from valkeykit_ops.migrate.checks import Check
from valkeykit_ops.migrate.inventory import Inventory
from valkeykit_ops.migrate.key_usage import usage_check
from valkeykit_ops.migrate.migration_server import MigrationServer, Primary, fields_of, is_same_server
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext

OLDEST_SOURCE = (5, 0)
OLDEST_REVERSE_TARGET = (6, 2)
OLDEST_TARGET = (7, 2)

MEMORY_FACTOR = 1.1
"""Memory needed at the target, relative to the source."""

COPY_BYTES_PER_SECOND = 60e6
READ_TIME_FACTOR = 2.5
"""Duration of a copy, relative to reading alone."""


@dataclass
class MigrationPlan:
    """The plan of a migration, with the results of the preflight."""

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


def examine(
    context: RunContext, *, full: bool, continuing: bool, cut_over: bool = False, pause: bool = True
) -> MigrationPlan:
    """Check both servers; nothing is written.

    Args:
        cut_over: Whether a cut-over follows at once.
        pause: Whether that pauses writes.
        full: Take an inventory of all keys, even if every type can be migrated.
        continuing: The target already has a part of the data.

    Raises:
        redis.RedisError: A server is unreachable, or rejects a command that the checks need.
    """
    sizes = {number: size for number, size in context.source.sizes().items() if context.options.scope.includes(number)}
    keys = sum(sizes.values())
    plan = MigrationPlan(context.source.name, context.target.name, keys, _estimate(context, sizes))
    plan.checks.append(_distinct(context))
    if plan.is_go:
        plan.checks += [_versions(context), *access_checks.roles(context)]
    if plan.is_go:
        plan.checks.append(_databases(context, sizes))
    if plan.is_go:
        plan.checks += access_checks.access(context, sizes)
    if plan.is_go and not context.source.is_file and (full or cut_over):
        plan.checks += access_checks.cut_over_access(context, required=cut_over, pause=pause)
    if plan.is_go:
        plan.checks += [*_libraries(context), _eviction(context), *usage_check(context.source, context.target)]
        plan.checks.append(access_checks.clocks(context))
        if not continuing:
            plan.checks += [_emptiness(context, sizes), _memory(context)]
    if plan.is_go:
        plan.checks += _movable(context, plan, full=full)
    if plan.inventory is not None and keys:
        selected = sum(plan.inventory.keys.values())
        plan.keys, plan.seconds = selected, plan.seconds * selected / keys
    return plan


def examine_for_verification(context: RunContext) -> MigrationPlan:
    """Check what a comparison needs: two servers and the permissions to read from both.

    Raises:
        redis.RedisError: A server is unreachable.
    """
    sizes = context.source.sizes()
    in_scope = {number: size for number, size in sizes.items() if context.options.scope.includes(number)}
    plan = MigrationPlan(context.source.name, context.target.name, sum(in_scope.values()), 0.0)
    plan.checks += [_distinct(context), _databases(context, in_scope)]
    plan.checks += access_checks.access(context, in_scope, writes=False)
    return plan


def _versions(context: RunContext) -> Check:
    text = f"{context.source.name} → {context.target.name}"
    if context.source.engine == "redis" and context.source.release < OLDEST_SOURCE:
        return Check(
            "versions",
            False,
            f"{text}: the source is older than Redis 5.0",
            "upgrade the source to Redis 5.0 or newer first",
        )
    if context.target.engine == "redis" and context.options.reverse and context.target.release < OLDEST_REVERSE_TARGET:
        return Check(
            "versions",
            False,
            f"{text}: the previous server is older than Redis 6.2, so nothing can be copied back to it",
            "upgrade the previous server to Redis 6.2 or newer first",
        )
    if context.target.engine != "valkey" and not context.options.reverse:
        return Check(
            "versions",
            False,
            f"{text}: the target is not a Valkey",
            "use `valkeykit migrate reverse` to migrate back to the previous server",
        )
    if context.target.engine == "valkey" and context.target.release < OLDEST_TARGET:
        return Check(
            "versions",
            False,
            f"{text}: the target is older than Valkey 7.2",
            "upgrade the target to Valkey 7.2 or newer",
        )
    return Check("versions", True, text)


def _distinct(context: RunContext) -> Check:
    if is_same_server(context.source, context.target):
        return Check("two servers", False, "source and target are the same server", "correct one of the two URLs")
    return Check("two servers", True, "source and target are different servers")


def _databases(context: RunContext, sizes: dict[int, int]) -> Check:
    node = context.target.primaries()[0].node
    refused = []
    for number in sizes:
        try:
            context.target.connect(node, number).close()
        except RedisError:
            refused.append(number)
    named = ", ".join(map(str, sizes)) or "none"
    if refused:
        setting = "cluster-databases" if context.target.is_cluster else "databases"
        choose = ", or select others with --database" if len(refused) < len(sizes) else ""
        return Check(
            "databases",
            False,
            f"the source uses databases {named}; the target does not have {', '.join(map(str, refused))}",
            f"increase `{setting}` at the target{choose}",
        )
    return Check("databases", True, f"in use: {named}")


def _emptiness(context: RunContext, sizes: dict[int, int]) -> Check:
    there = occupied(context, sizes)
    if not there:
        return Check("target", True, "no keys in scope")
    if context.options.conflict == "fail":
        return Check(
            "target",
            False,
            f"the target already has keys in scope in {there}",
            "empty the target, or pass --conflict skip or replace",
        )
    return Check("target", None, f"has keys in scope in {there}; --conflict {context.options.conflict}")


def occupied(context: RunContext, sizes: dict[int, int]) -> str:
    """The databases of the target that have keys in scope; empty if none has."""
    there = context.target.sizes()
    occupied_databases = [number for number in sizes if there.get(number) and _has_keys_in_scope(context, number)]
    return ", ".join(f"database {number} ({there[number]:,} keys)" for number in occupied_databases)


def _has_keys_in_scope(context: RunContext, number: int) -> bool:
    """Whether a database of the target has keys in scope."""
    scope = context.options.scope
    match = ["MATCH", scope.target_pattern] if scope.target_pattern is not None else []
    filters = [[*match, "TYPE", kind] for kind in sorted(scope.types)] or [match]
    return any(
        _has_keys(context, primary, number, [*one, "COUNT", 1000])
        for primary in context.target.primaries()
        for one in filters
    )


def _has_keys(context: RunContext, primary: Primary, number: int, words: list[Any]) -> bool:
    connection = context.target.connect(primary.node, number)
    try:
        cursor, keys = connection.call("SCAN", 0, *words)
        while not keys and cursor != b"0":
            cursor, keys = connection.call("SCAN", cursor, *words)
    finally:
        connection.close()
    return bool(keys)


def _memory(context: RunContext) -> Check:
    needed = MEMORY_FACTOR * sum(
        _number(context.source, primary, "used_memory") - _number(context.source, primary, "used_memory_startup")
        for primary in context.source.primaries()
    )
    free = 0
    for primary in context.target.primaries():
        limit = _number(context.target, primary, "maxmemory") or _number(context.target, primary, "total_system_memory")
        free += limit - _number(context.target, primary, "used_memory")
    text = f"about {needed / 2**20:,.0f} MiB needed, {free / 2**20:,.0f} MiB free at the target"
    if needed <= free:
        return Check("memory", True, text)
    if not context.options.scope.is_everything:
        return Check("memory", None, f"{text}, if all keys were copied")
    return Check("memory", False, text, "increase maxmemory, use a larger target, or copy fewer keys")


def _number(server: MigrationServer, primary: Any, name: str) -> int:
    return int(server.info(primary.node, "memory").get(name, 0))


def _eviction(context: RunContext) -> Check:
    limits = [context.target.info(primary.node, "memory") for primary in context.target.primaries()]
    evicting = {
        info.get("maxmemory_policy", "unknown")
        for info in limits
        if int(info.get("maxmemory", 0)) and info.get("maxmemory_policy") != "noeviction"
    }
    if not evicting:
        return Check("eviction", True, "the target does not evict keys")
    text = f"the target evicts keys when it is full ({', '.join(sorted(evicting))}), even during the migration"
    if context.options.allow_eviction:
        return Check("eviction", None, text)
    return Check(
        "eviction",
        False,
        text,
        "CONFIG SET maxmemory-policy noeviction until the cut-over, or pass --allow-eviction",
    )


def _libraries(context: RunContext) -> list[Check]:
    try:
        there, here = functions.libraries(context.target), functions.libraries(context.source)
    except RedisError:
        return [Check("functions", None, "FUNCTION LIST is rejected, so libraries are not copied")]
    clash = [name for name, code in here.items() if there.get(name, code) != code]
    if clash and context.options.conflict == "fail":
        return [
            Check(
                "functions",
                False,
                f"the target has different libraries named {', '.join(clash)}",
                "pass --conflict skip or replace",
            )
        ]
    return [Check("functions", True, f"libraries: {', '.join(here) or 'none'}")]


def _movable(context: RunContext, plan: MigrationPlan, *, full: bool) -> list[Check]:
    modules = _modules(context.source)
    ttls = not context.target.has_field_ttl and _uses_field_ttls(context.source)
    if not (full or modules or ttls):
        return [Check("types", True, "the source has no modules, so every type can be migrated")]
    plan.inventory = inventory.take(context, field_ttls=ttls)
    lost = plan.inventory.unmovable + plan.inventory.field_ttls
    what = f"modules at the source: {', '.join(modules) or 'none'}"
    if not lost:
        return [Check("types", True, f"{what}; every key can be migrated")]
    text = (
        f"{what}; {plan.inventory.unmovable} keys of types and {plan.inventory.field_ttls} hashes with "
        f"field TTLs that the target does not support; listed in {context.unmovable.path.name}"
    )
    if context.options.accept_loss:
        return [Check("types", None, text)]
    return [Check("types", False, text, "pass --accept-loss to continue and skip them")]


def _modules(server: MigrationServer) -> list[str]:
    text = server.lines(server.primaries()[0].node, "modules")
    return [fields_of(line.partition(":")[2]).get("name", "?") for line in text if line.startswith("module:")]


def _uses_field_ttls(server: MigrationServer) -> bool:
    if not server.has_field_ttl:
        return False
    return any(
        int(fields_of(value).get("subexpiry", 0)) or int(fields_of(value).get("keys_with_volatile_items", 0))
        for primary in server.primaries()
        for value in server.info(primary.node, "keyspace").values()
    )


def _estimate(context: RunContext, sizes: dict[int, int]) -> float:
    """Estimated seconds of the copy, from reading a few keys."""
    if not sizes:
        return 0.0
    number, key = permissions.sample_key(context, sizes)
    if key is None:
        return 0.0
    source = Router(context.source, number)
    connection = source.connection_for(key)
    try:
        _, keys = connection.call("SCAN", 0, "COUNT", 500)
        light = [
            name
            for name, weight in zip(keys, reader.weights(source, keys), strict=True)
            if weight and weight <= context.options.chunk_above
        ]
        read = reader.values if context.source.avoids_touching else reader.weights  # DUMP would count as use
        began = time.monotonic()
        read(source, light)
        each = (time.monotonic() - began) / max(1, len(light))
    except RedisError:
        return 0.0
    finally:
        source.close()
    data = sum(_number(context.source, primary, "used_memory_dataset") for primary in context.source.primaries())
    return max(sum(sizes.values()) * each * READ_TIME_FACTOR, data / COPY_BYTES_PER_SECOND)
