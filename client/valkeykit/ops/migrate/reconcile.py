"""Compares both sides and mends what differs: a delta pass without notifications, and the verification.

A key that isn't equal at first look is copied again and looked at again. What is still not
equal then is told apart: it ended, it was deleted, it changes all the time, or it is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from valkeykit.ops.migrate import commands, reader
from valkeykit.ops.migrate.comparer import Comparer, Finding, Verdict
from valkeykit.ops.migrate.copier import Copier
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.options import SCRATCH
from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.sweep import Sweep

MOST = 200_000
"""Keys that aren't equal which are remembered; with more, the first pass is repeated."""

SAMPLE = 2000
"""Keys of each node and database that a sampled verification compares."""

ROUNDS = 3
SETTLE = 0.1
"""Seconds between two looks at a key that isn't equal."""

BATCH = 500


@dataclass
class Verification:
    """What comparing both sides showed, in keys.

    first: that weren't equal at the first look.
    mended: of these, that were equal after they were copied again.
    expired, deleted: that went from the source meanwhile.
    changed: that are written so often that no two looks agree.
    kept: that the target had before and the policy `skip` keeps.
    missing, different, extra: what is really wrong.
    unmovable: of types that the target doesn't have.
    """

    full: bool = True
    compared: int = 0
    first: int = 0
    mended: int = 0
    expired: int = 0
    deleted: int = 0
    changed: int = 0
    kept: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    unmovable: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list, repr=False)

    @property
    def is_clean(self) -> bool:
        """Whether all is there, unmovable keys aside."""
        return not (self.missing or self.different or self.extra or self.changed)

    def record(self) -> dict[str, Any]:
        """Plain values, without the keys."""
        return {name: value for name, value in asdict(replace(self, findings=[])).items() if name != "findings"}


class _Findings:
    """Keys that aren't equal, from several threads.

    number: of those that are to be mended; `listed` has the first of them.
    """

    def __init__(self, job: Job) -> None:
        self._skips = job.options.conflict == "skip"
        self._guard = threading.Lock()
        self.listed: list[Finding] = []
        self.number = self.unmovable = self.kept = 0

    def add(self, finding: Finding) -> None:
        with self._guard:
            if finding.verdict is Verdict.UNMOVABLE:
                self.unmovable += 1
            elif self._skips and finding.verdict is Verdict.DIFFERENT:
                self.kept += 1
            else:
                self.number += 1
                if len(self.listed) < MOST:
                    self.listed.append(finding)

    @property
    def unlisted(self) -> int:
        return self.number - len(self.listed)


def reconcile(job: Job, *, sample: bool = False) -> Verification:
    """Compare everything in scope, or a sample, and mend what differs.

    Raises:
        redis.RedisError: a side refused, or was out of reach for too long.
    """
    began = time.monotonic()
    compared = job.tally.get("compared")
    found = _look(job, sample=sample)
    result = Verification(full=not sample, first=found.number)
    while found.unlisted:  # too many to remember: copy everything, mend these, look again
        before = found.number
        copy_all(job)
        _settle(job, found.listed, Verification())
        found = _look(job, sample=sample)
        if found.number >= before:
            break
    result.unmovable, result.kept = found.unmovable, found.kept
    _settle(job, found.listed, result)
    result.different += found.unlisted
    result.compared = job.tally.get("compared") - compared
    result.seconds = round(time.monotonic() - began, 2)
    return result


def _look(job: Job, *, sample: bool) -> _Findings:
    found = _Findings(job)
    limit = SAMPLE if sample else None
    scope = job.options.scope
    before = job.tally.get("equal")
    Sweep(job, job.source, lambda number: Comparer(job, number, found.add), pattern=scope.pattern, limit=limit).run()
    if job.mirrors and not sample and not _is_all(job, job.tally.get("equal") - before):
        Sweep(job, job.target, lambda number: _Extras(job, number, found), pattern=scope.target_pattern).run()
    return found


def _is_all(job: Job, equal: int) -> bool:
    """Whether both sides have just the keys that were found equal, so that the target has no others."""
    if not job.options.scope.is_everything:
        return False
    ours, theirs = job.source.sizes(), job.target.sizes()
    return ours == theirs and sum(theirs.values()) == equal


class _Extras:
    """Finds keys of the target that the source doesn't have."""

    def __init__(self, job: Job, database: int, found: _Findings) -> None:
        self._job = job
        self._database = database
        self._found = found
        self._source, self._target = Router(job.source, database), Router(job.target, database)

    def handle(self, keys: Sequence[bytes]) -> None:
        scope = self._job.options.scope
        origins = [scope.origin(key) for key in keys if not key.startswith(SCRATCH)]
        answers = self._source.ask(origins, [commands.exists(key) for key in origins]) if origins else []
        reader.raise_first(answers)
        strangers = [key for key, there in zip(origins, answers, strict=True) if not there]
        if not strangers:
            return
        kinds = reader.types(self._target, [scope.name(key) for key in strangers])
        for key, kind in zip(strangers, kinds, strict=True):
            if kind != "none" and (not scope.types or kind in scope.types):
                self._found.add(Finding(self._database, key, Verdict.EXTRA, kind, 0))

    def flush(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        self._source.close()
        self._target.close()


def _settle(job: Job, found: list[Finding], result: Verification) -> None:
    """Mend and look again, until what is left is what can't be mended."""
    pending = found
    for _ in range(ROUNDS):
        if not pending:
            return
        copy_keys(job, [(finding.database, finding.key) for finding in pending])
        again = _again(job, pending)
        result.mended += len(pending) - len(again)
        pending = _still_there(job, again, result)
        time.sleep(SETTLE if pending else 0)
    _judge(job, pending, result)


def copy_all(job: Job) -> None:
    """Copy every key in scope anew."""
    Sweep(job, job.source, lambda number: Copier(job, number), pattern=job.options.scope.pattern).run()


def copy_keys(job: Job, keys: Iterable[tuple[int, bytes]]) -> None:
    """Bring keys, by database and name, to what the source has; what it doesn't have is removed."""
    for number, names in _by_database(keys).items():
        copier = Copier(job, number, removes=job.overwrites)
        try:
            for start in range(0, len(names), BATCH):
                job.check_stop()
                job.throttle.pace(BATCH)
                copier.handle(names[start : start + BATCH])
            copier.flush()
        finally:
            copier.close()


def _again(job: Job, findings: list[Finding]) -> list[Finding]:
    """Those that are still not equal."""
    found = _Findings(job)
    by_key = {(finding.database, finding.key): finding for finding in findings}
    for number, names in _by_database(by_key).items():
        comparer = Comparer(job, number, found.add)
        extras = _Extras(job, number, found)
        try:
            for start in range(0, len(names), BATCH):
                comparer.handle(names[start : start + BATCH])
            if job.mirrors:
                extras.handle([job.options.scope.name(name) for name in names])
        finally:
            comparer.close()
            extras.close()
    return found.listed


def _still_there(job: Job, findings: list[Finding], result: Verification) -> list[Finding]:
    """Those that the source still has; the others ended or were deleted."""
    left = []
    now = time.time() * 1000
    for number, names in _by_database((finding.database, finding.key) for finding in findings).items():
        source = Router(job.source, number)
        try:
            there = dict(zip(names, source.ask(names, [commands.exists(name) for name in names]), strict=True))
        finally:
            source.close()
        for finding in (one for one in findings if one.database == number):
            if there[finding.key] or finding.verdict is Verdict.EXTRA:
                left.append(finding)
            elif 0 < finding.expires <= now:
                result.expired += 1
            else:
                result.deleted += 1
    return left


def _judge(job: Job, findings: list[Finding], result: Verification) -> None:
    """Tell what changes all the time from what is lost."""
    for number in {finding.database for finding in findings}:
        mine = [finding for finding in findings if finding.database == number]
        source = Router(job.source, number)
        try:
            keys = [finding.key for finding in mine]
            first = reader.values(source, keys)
            time.sleep(SETTLE * 3)
            second = reader.values(source, keys)
        finally:
            source.close()
        for finding, one, other in zip(mine, first, second, strict=True):
            if one != other:
                result.changed += 1
                continue
            setattr(result, finding.verdict.value, getattr(result, finding.verdict.value) + 1)
            result.findings.append(finding)


def _by_database(keys: Iterable[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for number, key in keys:
        found.setdefault(number, []).append(key)
    return found
