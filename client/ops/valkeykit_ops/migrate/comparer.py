"""Comparison of keys of one database on both servers.

Equal payloads, except for the footer, mean equal values.
Payloads can differ for equal values, such as hashes in another order, so values are then compared:
small ones in batches, and those that may still differ element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from valkeykit_ops.migrate import batch_comparison, reader
from valkeykit_ops.migrate.batch_comparison import DifferingPayloads
from valkeykit_ops.migrate.command_copy import ChangedError, DatabasePair
from valkeykit_ops.migrate.copier import BLOCK_BYTES, blocks, in_scope
from valkeykit_ops.migrate.options import TYPES
from valkeykit_ops.migrate.payload import FOOTER_BYTES
from valkeykit_ops.migrate.reader import Value
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import NO_FIELD_TTLS, RunContext
from valkeykit_ops.migrate.value_codecs import has_field_ttls

CLOCK_TOLERANCE_MS = 3
"""How far expiry times may differ if a server only reports the remaining time."""


class Verdict(Enum):
    """The result of comparing a key."""

    EQUAL = "equal"
    MISSING = "missing"
    DIFFERENT = "different"
    UNEXPECTED = "unexpected"
    UNMOVABLE = "unmovable"


@dataclass(frozen=True)
class KeyDifference:
    """A key that differs. expires: its expiry time at the source in milliseconds since the epoch; 0 for none."""

    database: int
    key: bytes
    verdict: Verdict
    kind: str
    expires: int


class Comparer:
    """Compares keys of one database. Not thread-safe.

    Args:
        report: Called with each key that differs.
    """

    def __init__(self, context: RunContext, database: int, report: Callable[[KeyDifference], None]) -> None:
        self._context = context
        self._database = database
        self._report = report
        self._pair = DatabasePair(Router(context.source, database), Router(context.target, database))
        exact = context.source.has_absolute_ttl and context.target.has_absolute_ttl
        self._tolerance = 0 if exact else CLOCK_TOLERANCE_MS

    def close(self) -> None:
        """Close the connections."""
        self._pair.source.close()
        self._pair.target.close()

    def flush(self) -> None:
        """Nothing to do: no batch is pending."""

    def handle(self, keys: Sequence[bytes]) -> None:
        """Compare keys."""
        in_scope_keys = in_scope(self._context, self._pair.source, keys)
        weights = reader.weights(self._pair.source, in_scope_keys) if in_scope_keys else []
        known = [(key, weight) for key, weight in zip(in_scope_keys, weights, strict=True) if weight is not None]
        limit = self._context.options.chunk_above
        for block in blocks([pair for pair in known if pair[1] <= limit]):
            self._compare_block(block)
        for key, weight in known:
            if weight > limit:
                self._compare_large(key, weight)

    def _compare_block(self, block: list[tuple[bytes, int]]) -> None:
        scope = self._context.options.scope
        keys = [key for key, _ in block]
        ours, theirs = reader.both(self._pair.source, keys, self._pair.target, [scope.name(key) for key in keys])
        equal = 0
        close: list[tuple[bytes, int, Value, Value | None]] = []
        differing: list[tuple[bytes, int, Value, Value]] = []
        for (key, weight), mine, other in zip(block, ours, theirs, strict=True):
            if mine is None:
                continue
            size = max(weight, len(mine.payload))  # the server estimated the weight from a few elements
            if other is None or not self._has_equal_expiry(mine.expires, other.expires):
                close.append((key, size, mine, other))
            elif mine.payload[:-FOOTER_BYTES] == other.payload[:-FOOTER_BYTES]:
                equal += 1
            elif size > BLOCK_BYTES:
                close.append((key, size, mine, other))
            else:
                differing.append((key, size, mine, other))
        payloads = [
            DifferingPayloads(key, scope.name(key), mine.payload, other.payload) for key, _, mine, other in differing
        ]
        are_equal = batch_comparison.are_equal(self._pair, payloads)
        equal += sum(are_equal)
        close += [row for row, is_equal in zip(differing, are_equal, strict=True) if not is_equal]
        for key, size, mine, other in close:
            self._compare_closely(key, size, mine, other)
        self._context.counters.add("compared", len(block))
        self._context.counters.add("equal", equal)

    def _has_equal_expiry(self, mine: int, other: int) -> bool:
        return mine == other or (0 < self._tolerance >= abs(mine - other) and min(mine, other) > 0)

    def _compare_closely(self, key: bytes, weight: int, mine: Value, other: Value | None) -> None:
        kind = reader.types(self._pair.source, [key])[0]
        if kind == "none":
            return
        if other is not None and kind in TYPES and self._has_equal_expiry(mine.expires, other.expires):
            verdict = self._compare_values(key, kind, weight)
        else:
            verdict = Verdict.MISSING if other is None else Verdict.DIFFERENT
        self._report_difference(key, kind, mine.expires, verdict)

    def _compare_large(self, key: bytes, weight: int) -> None:
        name = self._context.options.scope.name(key)
        kind = reader.types(self._pair.source, [key])[0]
        self._context.counters.add("compared")
        if kind == "none":
            return
        mine = reader.expiries(self._pair.source, [key])[0]
        other = reader.expiries(self._pair.target, [name])[0]
        if not self._pair.target.call(name, "EXISTS", name):
            verdict = Verdict.MISSING
        elif kind not in TYPES or not self._has_equal_expiry(mine, other):
            verdict = Verdict.DIFFERENT
        else:
            verdict = self._compare_values(key, kind, weight)
        self._report_difference(key, kind, mine, verdict)

    def _compare_values(self, key: bytes, kind: str, weight: int) -> Verdict:
        name = self._context.options.scope.name(key)
        try:
            same = self._pair.equal(key, name, kind, weight, between=self._context.check_stop)
        except ChangedError:
            return Verdict.DIFFERENT
        if same and kind == "hash" and self._pair.loses_field_ttls and has_field_ttls(self._pair.source, key):
            if not self._context.read_only:
                self._context.skip(self._database, key, kind, NO_FIELD_TTLS)
            return Verdict.UNMOVABLE
        return Verdict.EQUAL if same else Verdict.DIFFERENT

    def _report_difference(self, key: bytes, kind: str, expires: int, verdict: Verdict) -> None:
        if verdict is Verdict.EQUAL:
            self._context.counters.add("equal")
            return
        if kind not in TYPES:
            verdict = Verdict.UNMOVABLE
        self._report(KeyDifference(self._database, key, verdict, kind, expires))
