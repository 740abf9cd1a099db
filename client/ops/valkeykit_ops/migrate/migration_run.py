"""A migration run: preflight, copy, follow, cut-over, verification and report."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from redis.exceptions import RedisError

from valkeykit_ops.migrate import change_tracker, functions, preflight, reverse, safety
from valkeykit_ops.migrate.change_tracker import ChangeTracker
from valkeykit_ops.migrate.copier import Copier
from valkeykit_ops.migrate.cut_over_step import CutOver, CutOverStep
from valkeykit_ops.migrate.failures import translating_errors
from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.latency_monitor import LatencyMonitor
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.preserved import find_preserved, load_preserved
from valkeykit_ops.migrate.progress import ProgressReporter
from valkeykit_ops.migrate.reconcile import Verification, copy_keys, reconcile
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.retrying import repeated
from valkeykit_ops.migrate.run_context import RunContext
from valkeykit_ops.migrate.scratch import remove_scratch_keys
from valkeykit_ops.migrate.silent_commands import GroupChanges, notifies_enough
from valkeykit_ops.migrate.state import MigrationState

CAUGHT_UP_KEYS = 1000
"""Number of changed keys below which the target has caught up."""

MAX_DELTA_PASSES = 5
"""Delta passes before the cut-over starts even if more keys change."""

CLEAN_END = "clean_end"
"""Name in the state: whether the previous run ended by itself, so that it left no incomplete key."""

GROUPS_INTERVAL_SECONDS = 60.0
"""Pause between two comparisons of streams whose groups are in use, while following."""

FOLLOW_POLL_INTERVAL_SECONDS = 0.5
"""Pause between two checks whether writes have stopped."""


class Migration:
    """A migration between two servers, with its state in a folder."""

    def __init__(
        self,
        source: MigrationServer,
        target: MigrationServer,
        options: Options,
        state: MigrationState,
        reporter: ProgressReporter,
    ) -> None:
        self._reporter = reporter
        self._context = RunContext.create(source, target, options, state)
        self._libraries: dict[str, str | None] = {}
        self._changes: ChangeTracker | None = None
        self._groups: GroupChanges | None = None
        self._groups_compared = 0.0
        reporter.watch(self._context.counters)

    @property
    def stop(self) -> threading.Event:
        """Set it to stop the run; the state is saved."""
        return self._context.stop

    def plan(self) -> MigrationPlan:
        """Check both servers without writing to either.

        Raises:
            ValkeykitError: A server is unreachable, or rejects a required command.
        """
        with translating_errors():
            self._context.unmovable.clear()
            self._reporter.stage("inventory", self._total())
            return preflight.examine(self._context, full=True, continuing=False)

    def run(self, cut_over: CutOver | None = None, *, follow: float | None = None) -> MigrationReport:
        """Migrate; the same call resumes a run that was killed or failed.

        Args:
            cut_over: Wait until writes stop, then verify; None to verify while writes continue.
            follow: Keep the target in sync for this many seconds first.

        Raises:
            ConfigurationError: The state belongs to another migration.
            UnsafeOperationError: It would overwrite or delete what only one of both servers has.
            ValkeykitError: A server is unreachable or rejected a command; the state is saved.
        """
        began = time.time()
        context = self._context
        context.state.check({"source": context.source.location, "target": context.target.location})
        safety.refuse_after_cut_over(context.state, context.target, reverse=context.options.reverse)
        if context.options.reverse:
            reverse.refuse_unconfirmed(context.state)
        context.unmovable.clear()
        with translating_errors():
            report = MigrationReport(self._examine(cut_over), started=began)
            if not report.plan.is_go:
                report.write(self._context.state)
                return report
            self._claim()
            report.events = repeated(context, self._begin, self._mark_incomplete)
            with self._tracking_changes(), self._limiting_latency():
                self._copy()
                if follow is not None:
                    self._follow(follow)
                if cut_over:
                    self._catch_up()
                    step = CutOverStep(context, self._reporter, self._copy_known_changes, self._verify)
                    report.verification, report.downtime = step.run(cut_over)
                    report.cut_over = True
                else:
                    report.verification = self._verify()
        return self._finish(report, began)

    def verify(self) -> MigrationReport:
        """Compare both servers; nothing is written to either.

        Raises:
            ConfigurationError: The state belongs to another migration.
            ValkeykitError: A server is unreachable or rejected a command.
        """
        began, context = time.time(), self._context
        context.state.check({"source": context.source.location, "target": context.target.location})
        context.read_only = True
        context.mirrors = bool(context.state.get("mirrors", True))
        with translating_errors():
            self._reporter.stage("preflight")
            report = MigrationReport(preflight.examine_for_verification(context), started=began)
            if report.plan.is_go:
                self._reporter.stage("verification", self._total())
                report.verification = reconcile(context, sample=context.options.verify == "sample")
                report.unmovable = report.verification.unmovable
                if self._copies_libraries:
                    with contextlib.suppress(RedisError):
                        self._libraries = functions.differing(context.source, context.target)
        return self._conclude(report, began, "verification")

    def _examine(self, cut_over: CutOver | None) -> MigrationPlan:
        self._reporter.stage("preflight")
        return preflight.examine(
            self._context,
            full=False,
            continuing=bool(self._context.state.get("claimed")),
            cut_over=cut_over is not None,
            pause=cut_over is not None and cut_over.pause is not None,
        )

    def _claim(self) -> None:
        context, scope = self._context, self._context.options.scope
        context.state.claim(
            {
                "source": context.source.location,
                "target": context.target.location,
                "scope": scope.record(),
                "conflict": context.options.conflict,
            }
        )
        if context.state.get("claimed") is None:
            sizes = {number: size for number, size in context.source.sizes().items() if scope.includes(number)}
            every = {**context.target.sizes(), **sizes} if not scope.databases else sizes
            preserves = context.options.conflict == "replace" and not context.options.reverse
            if preserves:
                find_preserved(context)
            mirrors = preserves or context.options.reverse or not preflight.occupied(context, every)
            context.state.put("mirrors", mirrors)
            context.state.put("claimed", True)
        context.mirrors = bool(context.state.get("mirrors"))
        context.ownership = replace(context.ownership, preserved=load_preserved(context.state.folder))

    def _begin(self) -> list[str]:
        """Compare both servers with the end of the previous run; return what happened in the meantime."""
        context = self._context
        events = [*context.source_guard.begin(), *context.target_guard.begin()]
        for event in events:
            self._reporter.note(event)
        if context.state.get(CLEAN_END) is False:
            remove_scratch_keys(context)
        context.state.put(CLEAN_END, False)
        return events

    @contextlib.contextmanager
    def _tracking_changes(self) -> Iterator[None]:
        """Track changed keys in the context, if the source sends notifications."""
        context = self._context
        if not notifies_enough(context.source):
            yield
            return
        if context.options.notifications and not context.state.get("notifications"):
            context.state.put("notifications", change_tracker.enable(context.source))
        if context.options.conflict != "skip" and change_tracker.enabled(context.source):
            enables = bool(context.state.get("notifications"))
            self._changes = ChangeTracker(context.source, context.options.scope, enables=enables)
            self._groups = GroupChanges(context.source)
        try:
            yield
        finally:
            if self._changes is not None:
                self._changes.close()
            if before := context.state.get("notifications"):
                with contextlib.suppress(RedisError):
                    change_tracker.restore(context.source, before)
                    context.state.put("notifications", None)

    @contextlib.contextmanager
    def _limiting_latency(self) -> Iterator[None]:
        """Monitor the source's latency in the context, if there is a limit."""
        if not self._context.throttle.limits_latency:
            yield
            return
        with LatencyMonitor(self._context.source, self._context.throttle.on_sample):
            yield

    def _copy(self) -> None:
        context = self._context
        self._load_libraries()
        if context.state.get("begun"):
            self._mark_incomplete()  # keys changed between the two runs
        if context.state.get("copied"):
            return
        context.state.put("begun", True)
        self._reporter.stage("copy", self._total())
        KeyScan(
            context,
            context.source,
            lambda number: Copier(context, number),
            name="copy",
            pattern=context.options.scope.pattern,
        ).run()
        context.state.put("copied", True)

    def _total(self) -> int:
        """Number of keys in scope; 0 if only a part of a database is, which servers do not count."""
        scope = self._context.options.scope
        if not scope.is_whole_databases:
            return 0
        return sum(size for number, size in self._context.source.sizes().items() if scope.includes(number))

    def _load_libraries(self) -> None:
        context = self._context
        if not self._copies_libraries:
            return
        try:
            there, here = functions.libraries(context.target), functions.libraries(context.source)
        except RedisError:
            return  # the preflight reports it
        for name, code in here.items():
            if there.get(name) == code or (name in there and context.options.conflict == "skip"):
                self._libraries[name] = None
            else:
                self._libraries[name] = functions.load(context.target, code, replace=context.overwrites)

    @property
    def _copies_libraries(self) -> bool:
        context = self._context
        return context.source.has_functions and context.target.has_functions and context.options.scope.is_everything

    def _follow(self, seconds: float) -> None:
        self._reporter.stage("following")
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            self._delta(groups=began - self._groups_compared > GROUPS_INTERVAL_SECONDS)
            self._reporter.current(began)
            self._context.stop.wait(FOLLOW_POLL_INTERVAL_SECONDS)
            self._context.check_stop()

    def _catch_up(self) -> None:
        """Run delta passes until few keys change between two of them."""
        for number in range(1, MAX_DELTA_PASSES + 1):
            self._reporter.stage(f"delta pass {number}")
            changed = self._delta(groups=True)
            self._reporter.note(f"delta pass {number}: {changed:,} keys changed", changed=changed)
            if changed < CAUGHT_UP_KEYS:
                return

    def _delta(self, *, groups: bool = False) -> int:
        """Copy the changed keys; return their number.

        Args:
            groups: Also compare streams whose groups may have changed, for which servers send no notification.
        """
        changed = repeated(self._context, self._copy_changes, self._mark_incomplete)
        return changed + (repeated(self._context, self._copy_groups, lambda: None) if groups else 0)

    def _copy_groups(self) -> int:
        if self._groups is None or not self._groups.take():
            return 0
        self._groups_compared = time.monotonic()
        scope = self._context.options.scope
        if scope.types and "stream" not in scope.types:
            return 0
        options = replace(self._context.options, scope=replace(scope, types=frozenset({"stream"})))
        return reconcile(replace(self._context, options=options, mirrors=False)).differing

    def _copy_known_changes(self) -> None:
        if self._changes is not None:
            self._delta()

    def _copy_changes(self) -> int:
        keys = self._changes.take() if self._changes is not None else None
        if keys is None:
            return reconcile(self._context).differing
        if keys:
            self._context.check_servers()
            copy_keys(self._context, keys)
        return len(keys)

    def _mark_incomplete(self) -> None:
        if self._changes is not None:
            self._changes.mark_incomplete()

    def _verify(self, *, last: bool = False) -> Verification:
        """Compare all keys, or a sample; changed keys that are known, and changed functions, are copied first.

        Args:
            last: No pass follows, so all keys are compared: some changes are notified to no client.
        """
        return repeated(self._context, lambda: self._verify_once(last=last), self._mark_incomplete)

    def _verify_once(self, *, last: bool) -> Verification:
        keys = self._changes.take() if self._changes is not None else None
        self._context.check_servers()
        copy_keys(self._context, keys or [])
        self._reporter.stage("verification", self._total())
        if last:
            self._load_libraries()
        sample = self._context.options.verify == "sample" and not last
        return reconcile(self._context, sample=sample)

    def _finish(self, report: MigrationReport, began: float) -> MigrationReport:
        context = self._context
        with contextlib.suppress(RedisError):  # then the next run knows less about other clients' writes
            context.target_guard.end()
        context.state.put(CLEAN_END, True)
        report.unmovable = context.counters.get("unmovable")
        self._conclude(report, began, "report")
        if report.complete and (report.cut_over or context.source.is_file):
            with translating_errors():
                safety.record_cut_over(context.state, context.source, context.target)
        return report

    def _conclude(self, report: MigrationReport, began: float, name: str) -> MigrationReport:
        context = self._context
        report.seconds = time.time() - began
        report.counts = context.counters.snapshot()
        report.libraries = self._libraries
        if report.verification is not None:
            clean = report.verification.is_clean and not any(self._libraries.values())
            clean = clean and (context.options.accept_loss or not report.unmovable)
            report.complete = clean and report.verification.full
            report.sampled = clean and not report.verification.full
        page = report.write(context.state, name)
        self._reporter.note(f"report: {page}", report=str(page))
        return report
