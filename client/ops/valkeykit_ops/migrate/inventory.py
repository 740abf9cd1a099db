"""Inventory of the source: keys and memory by type, the biggest keys, and keys that cannot be migrated."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from valkeykit_ops.migrate import reader
from valkeykit_ops.migrate.copier import in_scope
from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.options import TYPES
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import NO_FIELD_TTLS, RunContext
from valkeykit_ops.migrate.state import shown
from valkeykit_ops.migrate.value_codecs import has_field_ttls

BIGGEST_KEYS = 10
"""Number of biggest keys that are listed."""


@dataclass
class Inventory:
    """Keys and bytes by type; `biggest` as (bytes, database, type, key)."""

    keys: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    biggest: list[tuple[int, int, str, str]] = field(default_factory=list)
    unmovable: int = 0
    field_ttls: int = 0


def take(context: RunContext, *, field_ttls: bool) -> Inventory:
    """Scan all keys in scope and list those that cannot be migrated.

    Args:
        field_ttls: Whether hashes with field TTLs are among them.

    Raises:
        redis.RedisError: The source rejected a command, or was unreachable for too long.
    """
    inventory = Inventory()
    guard = threading.Lock()
    KeyScan(
        context,
        context.source,
        lambda number: _InventoryHandler(context, number, inventory, guard, field_ttls=field_ttls),
        pattern=context.options.scope.pattern,
    ).run()
    inventory.biggest.sort(reverse=True)
    return inventory


class _InventoryHandler:
    def __init__(
        self, context: RunContext, database: int, inventory: Inventory, guard: threading.Lock, *, field_ttls: bool
    ) -> None:
        self._context = context
        self._database = database
        self._inventory = inventory
        self._guard = guard
        self._source = Router(context.source, database)
        self._field_ttls = field_ttls

    def handle(self, keys: Sequence[bytes]) -> None:
        in_scope_keys = in_scope(self._context, self._source, keys)
        if not in_scope_keys:
            return
        kinds = reader.types(self._source, in_scope_keys)
        weights = reader.weights(self._source, in_scope_keys)
        lost = [self._has_field_ttls(key, kind) for key, kind in zip(in_scope_keys, kinds, strict=True)]
        with self._guard:
            for key, kind, weight, loses in zip(in_scope_keys, kinds, weights, lost, strict=True):
                if weight is not None and kind != "none":
                    self._count(key, kind, weight, loses=loses)

    def _count(self, key: bytes, kind: str, weight: int, *, loses: bool) -> None:
        inventory = self._inventory
        inventory.keys[kind] = inventory.keys.get(kind, 0) + 1
        inventory.memory[kind] = inventory.memory.get(kind, 0) + weight
        entry = (weight, self._database, kind, shown(key))
        if len(inventory.biggest) < BIGGEST_KEYS:
            heapq.heappush(inventory.biggest, entry)
        else:
            heapq.heappushpop(inventory.biggest, entry)
        if kind not in TYPES:
            inventory.unmovable += 1
            self._context.skip(self._database, key, kind, "the target does not support this type")
        elif loses:
            inventory.field_ttls += 1
            self._context.skip(self._database, key, kind, NO_FIELD_TTLS)

    def _has_field_ttls(self, key: bytes, kind: str) -> bool:
        return self._field_ttls and kind == "hash" and has_field_ttls(self._source, key)

    def flush(self) -> None:
        """Nothing to do: no batch is pending."""

    def close(self) -> None:
        self._source.close()
