"""Comparison and repair of both servers: the delta pass without notifications, and the verification.

A key that differs is copied and compared again.
A key that still differs is classified: expired, deleted, unstable, or lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from valkeykit_ops.migrate import commands, reader
from valkeykit_ops.migrate.comparer import Comparer, KeyDifference, Verdict
from valkeykit_ops.migrate.copier import Copier
from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext

MAX_TRACKED_DIFFERENCES = 200_000
"""Differing keys that are kept in memory; beyond this number the first pass is repeated."""

SAMPLE_KEYS = 2000
"""Number of keys per node and database that a sampled verification compares."""

CONFIDENCE_95 = 3
"""If none of n keys differs, at most 3/n of all keys do, with 95 % confidence."""

REPAIR_ROUNDS = 3
RECHECK_DELAY_SECONDS = 0.1
"""Pause between two comparisons of a differing key."""

BATCH_KEYS = 500


@dataclass
class Verification:
    """The result of a comparison, in keys.

    Attributes:
        differing: Keys that differed at the first comparison.
        repaired: Those that were equal after they were copied again.
        expired, deleted: Keys that left the source in the meantime.
        unstable: Keys that are written too often to compare.
        kept: Keys that the target had before and `--conflict skip` keeps.
        missing, different, unexpected: Keys that are wrong at the target.
        unmovable: Keys of types that the target does not support.
        evicted: Keys that the target evicted during the comparison, perhaps after they were compared.
        bound: Of a sample without differences: the share of keys that may differ, with 95 % confidence.
    """

    full: bool = True
    compared: int = 0
    differing: int = 0
    repaired: int = 0
    expired: int = 0
    deleted: int = 0
    unstable: int = 0
    kept: int = 0
    missing: int = 0
    different: int = 0
    unexpected: int = 0
    unmovable: int = 0
    evicted: int = 0
    bound: float | None = None
    seconds: float = 0.0
    differences: list[KeyDifference] = field(default_factory=list, repr=False)

    @property
    def is_clean(self) -> bool:
        """Whether the target is complete, except for unmovable keys."""
        return not (self.missing or self.different or self.unexpected or self.unstable or self.evicted)

    def record(self) -> dict[str, Any]:
        """Plain values, without the keys."""
        return {name: value for name, value in asdict(replace(self, differences=[])).items() if name != "differences"}


class _Differences:
    """Differing keys, collected from several threads.

    Attributes:
        number: How many keys to repair.
        unexpected: How many of them only the target has.
        listed: The first of them.
    """

    def __init__(self, context: RunContext) -> None:
        self._skips = context.options.conflict == "skip"
        self._guard = threading.Lock()
        self.listed: list[KeyDifference] = []
        self.number = self.unmovable = self.kept = self.unexpected = 0

    def add(self, difference: KeyDifference) -> None:
        with self._guard:
            if difference.verdict is Verdict.UNMOVABLE:
                self.unmovable += 1
            elif self._skips and difference.verdict is Verdict.DIFFERENT:
                self.kept += 1
            else:
                self.number += 1
                self.unexpected += difference.verdict is Verdict.UNEXPECTED
                if len(self.listed) < MAX_TRACKED_DIFFERENCES:
                    self.listed.append(difference)

    @property
    def unlisted(self) -> int:
        return self.number - len(self.listed)


def reconcile(context: RunContext, *, sample: bool = False) -> Verification:
    """Compare all keys in scope, or a sample, and repair those that differ, unless the context is read-only.

    A sample that differs, or whose servers have different numbers of keys, is widened to all keys.

    Raises:
        redis.RedisError: A server rejected a command, or was unreachable for too long.
    """
    began = time.monotonic()
    compared, evicted = context.counters.get("compared"), context.target.evicted_keys()
    detected = _compare(context, sample=sample)
    if sample and (detected.number or not _has_equal_sizes(context)):
        sample = False
        detected = _compare(context, sample=False)
    result = Verification(
        full=not sample, differing=detected.number, bound=CONFIDENCE_95 / SAMPLE_KEYS if sample else None
    )
    _check_repair(context, detected)
    while detected.unlisted and not context.read_only:  # too many for memory: copy all, repair these, compare again
        before = detected.number
        copy_all(context)
        _repair(context, detected.listed, Verification())
        detected = _compare(context, sample=sample)
        _check_repair(context, detected)
        if detected.number >= before:
            break
    result.unmovable, result.kept = detected.unmovable, detected.kept
    _repair(context, detected.listed, result)
    result.different += detected.unlisted
    result.compared = context.counters.get("compared") - compared
    result.evicted = max(0, context.target.evicted_keys() - evicted)
    result.seconds = round(time.monotonic() - began, 2)
    return result


def _check_repair(context: RunContext, detected: _Differences) -> None:
    """Check that a repair destroys nothing that only one server has.

    Raises:
        UnsafeOperationError: It might.
    """
    if context.read_only or not detected.number:
        return
    context.check_servers()
    context.source_guard.check_deletions(detected.unexpected, of=sum(context.target.sizes().values()))


def _compare(context: RunContext, *, sample: bool) -> _Differences:
    detected = _Differences(context)
    limit = SAMPLE_KEYS if sample else None
    scope = context.options.scope
    before = context.counters.get("equal")
    KeyScan(
        context,
        context.source,
        lambda number: Comparer(context, number, detected.add),
        pattern=scope.pattern,
        limit=limit,
    ).run()
    if context.mirrors and not sample and not _is_all(context, context.counters.get("equal") - before):
        KeyScan(
            context,
            context.target,
            lambda number: _UnexpectedKeys(context, number, detected),
            pattern=scope.target_pattern,
        ).run()
    return detected


def _has_equal_sizes(context: RunContext) -> bool:
    """Whether both servers have the same number of keys; True for a part of the keys, which are not counted."""
    scope = context.options.scope
    if not (context.mirrors and scope.is_whole_databases):
        return True
    ours, theirs = (
        {number: size for number, size in server.sizes().items() if scope.includes(number)}
        for server in (context.source, context.target)
    )
    return ours == theirs


def _is_all(context: RunContext, equal: int) -> bool:
    """Whether both servers have only the keys that were equal, so the target has no unexpected ones."""
    if not context.options.scope.is_everything:
        return False
    ours, theirs = context.source.sizes(), context.target.sizes()
    return ours == theirs and sum(theirs.values()) == equal


class _UnexpectedKeys:
    """Finds keys of the target that the source does not have."""

    def __init__(self, context: RunContext, database: int, detected: _Differences) -> None:
        self._context = context
        self._database = database
        self._detected = detected
        self._source, self._target = Router(context.source, database), Router(context.target, database)

    def handle(self, keys: Sequence[bytes]) -> None:
        scope, ownership = self._context.options.scope, self._context.ownership
        origins = [scope.origin(key) for key in keys if scope.owns(key)]
        answers = self._source.request(origins, [commands.exists(key) for key in origins]) if origins else []
        reader.raise_first(answers)
        unknown = [key for key, there in zip(origins, answers, strict=True) if not there]
        if not unknown:
            return
        names = [scope.name(key) for key in unknown]
        kinds = dict(zip(names, reader.types(self._target, names), strict=True))
        for name in ownership.deletable(self._database, names, [kinds[name] for name in names]):
            key = scope.origin(name)
            self._detected.add(KeyDifference(self._database, key, Verdict.UNEXPECTED, kinds[name], 0))

    def flush(self) -> None:
        """Nothing to do: no batch is pending."""

    def close(self) -> None:
        self._source.close()
        self._target.close()


def _repair(context: RunContext, detected: list[KeyDifference], result: Verification) -> None:
    """Repair and compare again until only keys remain that cannot be repaired."""
    pending = detected
    for _ in range(REPAIR_ROUNDS):
        if not pending:
            return
        if not context.read_only:
            copy_keys(context, [(difference.database, difference.key) for difference in pending])
        again = _recompare(context, pending)
        result.repaired += len(pending) - len(again)
        pending = _still_present(context, again, result)
        time.sleep(RECHECK_DELAY_SECONDS if pending else 0)
    _classify(context, pending, result)


def copy_all(context: RunContext) -> None:
    """Copy every key in scope again."""
    KeyScan(
        context, context.source, lambda number: Copier(context, number), pattern=context.options.scope.pattern
    ).run()


def copy_keys(context: RunContext, keys: Iterable[tuple[int, bytes]]) -> None:
    """Copy keys, given by database and name; remove those that the source does not have."""
    for number, names in _by_database(keys).items():
        copier = Copier(context, number, removes=context.overwrites)
        try:
            for start in range(0, len(names), BATCH_KEYS):
                context.check_stop()
                batch = names[start : start + BATCH_KEYS]
                context.throttle.pace(len(batch))
                copier.handle(batch)
            copier.flush()
        finally:
            copier.close()


def _recompare(context: RunContext, differences: list[KeyDifference]) -> list[KeyDifference]:
    """Those that still differ."""
    detected = _Differences(context)
    by_key = {(difference.database, difference.key): difference for difference in differences}
    for number, names in _by_database(by_key).items():
        comparer = Comparer(context, number, detected.add)
        unexpected = _UnexpectedKeys(context, number, detected)
        try:
            for start in range(0, len(names), BATCH_KEYS):
                comparer.handle(names[start : start + BATCH_KEYS])
            if context.mirrors:
                unexpected.handle([context.options.scope.name(name) for name in names])
        finally:
            comparer.close()
            unexpected.close()
    return detected.listed


def _still_present(context: RunContext, differences: list[KeyDifference], result: Verification) -> list[KeyDifference]:
    """Those that the source still has; the others expired or were deleted."""
    left = []
    now = time.time() * 1000
    for number, names in _by_database((difference.database, difference.key) for difference in differences).items():
        source = Router(context.source, number)
        try:
            there = dict(zip(names, source.request(names, [commands.exists(name) for name in names]), strict=True))
        finally:
            source.close()
        for difference in (one for one in differences if one.database == number):
            if there[difference.key] or difference.verdict is Verdict.UNEXPECTED:
                left.append(difference)
            elif 0 < difference.expires <= now:
                result.expired += 1
            else:
                result.deleted += 1
    return left


def _classify(context: RunContext, differences: list[KeyDifference], result: Verification) -> None:
    """Distinguish unstable keys from lost keys."""
    for number in {difference.database for difference in differences}:
        mine = [difference for difference in differences if difference.database == number]
        source = Router(context.source, number)
        try:
            keys = [difference.key for difference in mine]
            first = reader.values(source, keys)
            time.sleep(RECHECK_DELAY_SECONDS * 3)
            second = reader.values(source, keys)
        finally:
            source.close()
        for difference, one, other in zip(mine, first, second, strict=True):
            if one != other:
                result.unstable += 1
                continue
            setattr(result, difference.verdict.value, getattr(result, difference.verdict.value) + 1)
            result.differences.append(difference)


def _by_database(keys: Iterable[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    detected: dict[int, list[bytes]] = {}
    for number, key in keys:
        detected.setdefault(number, []).append(key)
    return detected
