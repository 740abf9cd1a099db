"""The whole way: look, copy, follow, cut over, verify, report."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from redis.exceptions import RedisError

from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.ops.migrate import changes, cutover, functions, preflight
from valkeykit.ops.migrate.changes import Changes
from valkeykit.ops.migrate.copier import Copier
from valkeykit.ops.migrate.cutover import Writes
from valkeykit.ops.migrate.events import Reporter
from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.options import Options
from valkeykit.ops.migrate.preflight import Plan
from valkeykit.ops.migrate.pulse import Pulse
from valkeykit.ops.migrate.reconcile import Verification, copy_keys, reconcile
from valkeykit.ops.migrate.report import Report
from valkeykit.ops.migrate.server import Server
from valkeykit.ops.migrate.state import State
from valkeykit.ops.migrate.sweep import Sweep
from valkeykit.ops.migrate.throttle import Throttle

SMALL_LAG = 1000
"""Changed keys below which the target counts as caught up."""

PASSES = 5
"""Delta passes after which it counts as caught up as far as that can be."""

LOOK_EVERY = 0.5
"""Seconds between two looks at whether writes have stopped."""


@dataclass(frozen=True)
class CutOver:
    """The change of servers.

    quiet: seconds without a write after which writes count as stopped.
    pause: seconds for which the source is told to hold writes back; None to wait for their end instead.
    timeout: seconds to wait for writes to stop.
    """

    quiet: float = 5.0
    pause: float | None = None
    timeout: float = 3600.0


class Migration:
    """One migration between two servers, kept in one folder."""

    def __init__(self, source: Server, target: Server, options: Options, state: State, reporter: Reporter) -> None:
        self._reporter = reporter
        self._job = Job(
            source, target, options, state, Throttle(options.rate, options.max_latency, options.batch),
            state.lines("unmovable.jsonl"),
        )  # fmt: skip
        self._libraries: dict[str, str | None] = {}
        self._changes: Changes | None = None
        reporter.watch(self._job.tally)

    @property
    def stop(self) -> threading.Event:
        """Set it, and the run ends with its state kept."""
        return self._job.stop

    def plan(self) -> Plan:
        """Look at both sides; nothing is written to either.

        Raises:
            ValkeykitError: a side can't be reached, or refuses what can't be done without.
        """
        with _explained():
            self._reporter.stage("inventory", sum(self._job.source.sizes().values()))
            return preflight.examine(self._job, full=True, continuing=False)

    def run(self, cut_over: CutOver | None = None, *, follow: float | None = None) -> Report:
        """Migrate; the same call continues what a kill or an error ended.

        cut_over: wait until writes stop, and verify then; None to verify while they may go on.
        follow: keep the target as the source is for so many seconds before that.

        Raises:
            ConfigurationError: the state belongs to another migration.
            ValkeykitError: a side can't be reached, or refused; the state is kept.
        """
        began = time.time()
        with _explained():
            report = Report(self._examine(), started=began)
            if not report.plan.is_go:
                report.write(self._job.state)
                return report
            self._claim()
            with self._followed(), self._paced():
                self._copy()
                if follow is not None:
                    self._follow(follow)
                if cut_over:
                    self._catch_up()
                    self._cut_over(cut_over, report)
                else:
                    report.verification = self._verify()
        return self._finish(report, began)

    def _examine(self) -> Plan:
        self._reporter.stage("preflight")
        return preflight.examine(self._job, full=False, continuing=bool(self._job.state.get("claimed")))

    def _claim(self) -> None:
        job, scope = self._job, self._job.options.scope
        job.state.claim(
            {
                "source": job.source.place,
                "target": job.target.place,
                "scope": scope.record(),
                "conflict": job.options.conflict,
            }
        )
        if job.state.get("claimed") is None:
            sizes = {number: size for number, size in job.source.sizes().items() if scope.includes(number)}
            every = {**job.target.sizes(), **sizes} if not scope.databases else sizes
            job.state.put("mirrors", job.options.way_back or not preflight.occupied(job, every))
            job.state.put("claimed", True)
        job.mirrors = bool(job.state.get("mirrors"))

    @contextlib.contextmanager
    def _followed(self) -> Iterator[None]:
        """Changes are collected inside, where the source tells of them."""
        job = self._job
        if job.options.notifications and not job.state.get("notifications"):
            job.state.put("notifications", changes.enable(job.source))
        if job.options.conflict != "skip" and changes.enabled(job.source):
            self._changes = Changes(job.source, job.options.scope)
        try:
            yield
        finally:
            if self._changes is not None:
                self._changes.close()
            if before := job.state.get("notifications"):
                with contextlib.suppress(RedisError):
                    changes.restore(job.source, before)
                    job.state.put("notifications", None)

    @contextlib.contextmanager
    def _paced(self) -> Iterator[None]:
        """The source's latency is watched inside, where there is a limit."""
        if not self._job.throttle.watches:
            yield
            return
        with Pulse(self._job.source, self._job.throttle.saw):
            yield

    def _copy(self) -> None:
        job = self._job
        self._load_libraries()
        if job.state.get("begun") and self._changes is not None:
            self._changes.miss()  # what changed between two runs
        if job.state.get("copied"):
            return
        job.state.put("begun", True)
        self._reporter.stage("copy", sum(job.source.sizes().values()))
        Sweep(job, job.source, lambda number: Copier(job, number), name="copy", pattern=job.options.scope.pattern).run()
        job.state.put("copied", True)

    def _load_libraries(self) -> None:
        job = self._job
        if not (job.source.has_functions and job.target.has_functions and job.options.scope.is_everything):
            return
        try:
            there, here = functions.libraries(job.target), functions.libraries(job.source)
        except RedisError:
            return  # the preflight has told
        for name, code in here.items():
            if there.get(name) == code or (name in there and job.options.conflict == "skip"):
                self._libraries[name] = None
            else:
                self._libraries[name] = functions.load(job.target, code, replace=job.overwrites)

    def _follow(self, seconds: float) -> None:
        self._reporter.stage("following")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._delta()
            self._job.stop.wait(LOOK_EVERY)
            self._job.check_stop()

    def _catch_up(self) -> None:
        """Delta passes until few keys change between two of them."""
        for number in range(1, PASSES + 1):
            self._reporter.stage(f"delta pass {number}")
            changed = self._delta()
            self._reporter.note(f"delta pass {number}: {changed:,} keys had changed", changed=changed)
            if changed < SMALL_LAG:
                return

    def _delta(self) -> int:
        """Bring over what changed; the number of keys."""
        keys = self._changes.take() if self._changes is not None else None
        if keys is None:
            return reconcile(self._job).first
        copy_keys(self._job, keys)
        return len(keys)

    def _verify(self, *, last: bool = False) -> Verification:
        """Compare everything, or a sample; what changed since it was copied is copied first where that is known.

        last: nothing comes after it, so a sample is enough only where all changes are known.
        """
        keys = self._changes.take() if self._changes is not None else None
        copy_keys(self._job, keys or [])
        self._reporter.stage("verification", sum(self._job.source.sizes().values()))
        sample = self._job.options.verify == "sample" and not (last and keys is None)
        return reconcile(self._job, sample=sample)

    def _cut_over(self, how: CutOver, report: Report) -> None:
        writes = Writes(self._job.source)
        pause = cutover.paused(self._job.source, how.pause) if how.pause else contextlib.nullcontext()
        self._reporter.stage("cut-over")
        if how.pause is None:
            self._reporter.note("caught up: stop the writers now, or point them to the target once this is done")
        with pause:
            end = time.monotonic() + how.timeout
            while True:
                quiet_since, total = self._await_quiet(writes, how, end)
                self._reporter.note("writes have stopped: last delta and verification")
                report.verification = self._verify(last=True)
                if writes.total() == total:
                    break
                self._reporter.note("writes went on during the verification: once more")
            report.cut_over = True
            report.downtime = time.monotonic() - quiet_since

    def _await_quiet(self, writes: Writes, how: CutOver, end: float) -> tuple[float, int]:
        """When the last write was seen, and the count of writes by then."""
        total, since = writes.total(), time.monotonic()
        needed = LOOK_EVERY if how.pause else how.quiet  # notifications may still be under way
        while time.monotonic() - since < needed:
            if time.monotonic() > end:
                raise ConfigurationError(
                    f"the source is still written to after {how.timeout:,.0f} s",
                    fix="stop the writers, or let the source hold them back by --pause-writes, and run it again",
                )
            self._job.stop.wait(LOOK_EVERY)
            self._job.check_stop()
            if self._changes is not None:
                self._delta()
            if (now := writes.total()) != total:
                total, since = now, time.monotonic()
        return since, total

    def _finish(self, report: Report, began: float) -> Report:
        job = self._job
        report.seconds = time.time() - began
        report.counts = job.tally.snapshot()
        report.libraries = self._libraries
        report.unmovable = job.tally.get("unmovable")
        verified = report.verification
        clean = verified is not None and verified.is_clean and not any(self._libraries.values())
        report.complete = clean and (job.options.accept_loss or not report.unmovable)
        page = report.write(job.state)
        self._reporter.note(f"report: {page}", report=str(page))
        return report


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Foreign errors become ours; what a server said of a payload stays out of sight."""
    try:
        yield
    except ValkeykitError:
        raise
    except REDIS_ERRORS as problem:
        raise translate_error(problem) from None
