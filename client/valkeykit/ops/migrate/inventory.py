"""What the source holds: keys and memory by type, the biggest keys, and what can't be moved."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from valkeykit.ops.migrate import reader
from valkeykit.ops.migrate.copier import in_scope
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.options import TYPES
from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.shapes import SLICE_ELEMENTS, Hash
from valkeykit.ops.migrate.state import shown
from valkeykit.ops.migrate.sweep import Sweep

BIGGEST = 10
"""Keys that are listed."""


@dataclass
class Inventory:
    """Keys and bytes by type; `biggest` as (bytes, database, type, key)."""

    keys: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    biggest: list[tuple[int, int, str, str]] = field(default_factory=list)
    unmovable: int = 0
    field_ttls: int = 0


def take(job: Job, *, field_ttls: bool) -> Inventory:
    """Go through all keys in scope; those that can't be moved are named in the job's file.

    field_ttls: whether hashes with TTLs of fields count among them.

    Raises:
        redis.RedisError: the source refused, or was out of reach for too long.
    """
    found = Inventory()
    guard = threading.Lock()
    Sweep(
        job,
        job.source,
        lambda number: _Taker(job, number, found, guard, field_ttls=field_ttls),
        pattern=job.options.scope.pattern,
    ).run()
    found.biggest.sort(reverse=True)
    return found


class _Taker:
    def __init__(self, job: Job, database: int, found: Inventory, guard: threading.Lock, *, field_ttls: bool) -> None:
        self._job = job
        self._database = database
        self._found = found
        self._guard = guard
        self._source = Router(job.source, database)
        self._hash = Hash(field_ttl=True) if field_ttls else None

    def handle(self, keys: Sequence[bytes]) -> None:
        meant = in_scope(self._job, self._source, keys)
        if not meant:
            return
        kinds = reader.types(self._source, meant)
        weights = reader.weights(self._source, meant)
        lost = [self._has_field_ttls(key, kind) for key, kind in zip(meant, kinds, strict=True)]
        with self._guard:
            for key, kind, weight, loses in zip(meant, kinds, weights, lost, strict=True):
                if weight is not None and kind != "none":
                    self._count(key, kind, weight, loses=loses)

    def _count(self, key: bytes, kind: str, weight: int, *, loses: bool) -> None:
        found = self._found
        found.keys[kind] = found.keys.get(kind, 0) + 1
        found.memory[kind] = found.memory.get(kind, 0) + weight
        entry = (weight, self._database, kind, shown(key))
        if len(found.biggest) < BIGGEST:
            heapq.heappush(found.biggest, entry)
        else:
            heapq.heappushpop(found.biggest, entry)
        if kind not in TYPES:
            found.unmovable += 1
            self._job.refuse(self._database, key, kind, "the target has no such type")
        elif loses:
            found.field_ttls += 1
            self._job.refuse(self._database, key, kind, "the target has no TTLs of fields: the fields would stay")

    def _has_field_ttls(self, key: bytes, kind: str) -> bool:
        if self._hash is None or kind != "hash":
            return False
        pages = self._hash.slices(self._source, key, SLICE_ELEMENTS)
        return any(end >= 0 for page in pages for _, _, end in page)

    def flush(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        self._source.close()
