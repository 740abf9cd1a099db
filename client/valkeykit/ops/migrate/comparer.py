"""Compares keys of one database on both sides.

A payload that is the same, its footer aside, is the same value. Where it isn't, as for a hash
whose order each server chooses, the values are compared element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from valkeykit.ops.migrate import reader
from valkeykit.ops.migrate.copier import blocks, in_scope
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.logical import ChangedError, Pair
from valkeykit.ops.migrate.options import TYPES
from valkeykit.ops.migrate.payload import FOOTER
from valkeykit.ops.migrate.reader import Value
from valkeykit.ops.migrate.router import Router

CLOCKS = 3
"""Milliseconds by which ends may differ where a server only says how long a key still has."""


class Verdict(Enum):
    """What comparing a key showed."""

    EQUAL = "equal"
    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    UNMOVABLE = "unmovable"


@dataclass(frozen=True)
class Finding:
    """A key that isn't equal. expires: when it ends at the source, in milliseconds since the epoch; 0 for never."""

    database: int
    key: bytes
    verdict: Verdict
    kind: str
    expires: int


class Comparer:
    """Compares keys of one database. Not for several threads.

    report: called with each key that isn't equal.
    """

    def __init__(self, job: Job, database: int, report: Callable[[Finding], None]) -> None:
        self._job = job
        self._database = database
        self._report = report
        self._pair = Pair(Router(job.source, database), Router(job.target, database))
        exact = job.source.has_absolute_ttl and job.target.has_absolute_ttl
        self._tolerance = 0 if exact else CLOCKS

    def close(self) -> None:
        """Close the connections."""
        self._pair.source.close()
        self._pair.target.close()

    def flush(self) -> None:
        """Nothing is ever under way."""

    def handle(self, keys: Sequence[bytes]) -> None:
        """Compare keys."""
        meant = in_scope(self._job, self._pair.source, keys)
        weights = reader.weights(self._pair.source, meant) if meant else []
        known = [(key, weight) for key, weight in zip(meant, weights, strict=True) if weight is not None]
        limit = self._job.options.slice_above
        for block in blocks([pair for pair in known if pair[1] <= limit]):
            self._compare_block(block)
        for key, weight in known:
            if weight > limit:
                self._compare_large(key, weight)

    def _compare_block(self, block: list[tuple[bytes, int]]) -> None:
        scope = self._job.options.scope
        keys = [key for key, _ in block]
        ours, theirs = reader.both(self._pair.source, keys, self._pair.target, [scope.name(key) for key in keys])
        equal = 0
        for (key, weight), mine, other in zip(block, ours, theirs, strict=True):
            if mine is not None and other is not None and self._alike(mine, other):
                equal += 1
            elif mine is not None:
                self._look_closer(key, weight, mine, other)
        self._job.tally.add("compared", len(block))
        self._job.tally.add("equal", equal)

    def _alike(self, mine: Value, other: Value) -> bool:
        return mine.payload[:-FOOTER] == other.payload[:-FOOTER] and self._ends_alike(mine.expires, other.expires)

    def _ends_alike(self, mine: int, other: int) -> bool:
        return mine == other or (0 < self._tolerance >= abs(mine - other) and min(mine, other) > 0)

    def _look_closer(self, key: bytes, weight: int, mine: Value, other: Value | None) -> None:
        kind = reader.types(self._pair.source, [key])[0]
        if kind == "none":
            return
        if other is not None and kind in TYPES and self._ends_alike(mine.expires, other.expires):
            verdict = self._logically(key, kind, weight)
        else:
            verdict = Verdict.MISSING if other is None else Verdict.DIFFERENT
        self._say(key, kind, mine.expires, verdict)

    def _compare_large(self, key: bytes, weight: int) -> None:
        name = self._job.options.scope.name(key)
        kind = reader.types(self._pair.source, [key])[0]
        self._job.tally.add("compared")
        if kind == "none":
            return
        mine = reader.expiries(self._pair.source, [key])[0]
        other = reader.expiries(self._pair.target, [name])[0]
        if not self._pair.target.call(name, "EXISTS", name):
            verdict = Verdict.MISSING
        elif kind not in TYPES or not self._ends_alike(mine, other):
            verdict = Verdict.DIFFERENT
        else:
            verdict = self._logically(key, kind, weight)
        self._say(key, kind, mine, verdict)

    def _logically(self, key: bytes, kind: str, weight: int) -> Verdict:
        name = self._job.options.scope.name(key)
        try:
            same = self._pair.equal(key, name, kind, weight, between=self._job.check_stop)
        except ChangedError:
            return Verdict.DIFFERENT
        return Verdict.EQUAL if same else Verdict.DIFFERENT

    def _say(self, key: bytes, kind: str, expires: int, verdict: Verdict) -> None:
        if verdict is Verdict.EQUAL:
            self._job.tally.add("equal")
            return
        if kind not in TYPES:
            verdict = Verdict.UNMOVABLE
        self._report(Finding(self._database, key, verdict, kind, expires))
