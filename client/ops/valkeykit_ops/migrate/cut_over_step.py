"""The cut-over: wait until writes stop or pause them, copy the last changes, and verify."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Protocol

from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate import cutover
from valkeykit_ops.migrate.cutover import WriteCounter, WriteMark
from valkeykit_ops.migrate.progress import ProgressReporter
from valkeykit_ops.migrate.reconcile import Verification
from valkeykit_ops.migrate.run_context import RunContext

CUT_OVER_POLL_INTERVAL_SECONDS = 0.5
"""Pause between two checks whether writes have stopped."""

NOTE_INTERVAL_SECONDS = 10.0
"""Pause between two notes about the commands that still write."""


@dataclass(frozen=True)
class CutOver:
    """How to cut over.

    Attributes:
        quiet: Seconds without a write after which writes count as stopped.
        pause: Seconds for which the source pauses writes (CLIENT PAUSE), which must be enough for the last delta pass
            and the verification; None to wait until the writers stop.
        timeout: Maximum seconds to wait until writes stop.
    """

    quiet: float = 5.0
    pause: float | None = None
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        if not self.quiet >= 0:
            raise ConfigurationError(f"quiet is {self.quiet}, expected 0 seconds or more", fix="--quiet 5")
        if self.pause is not None and not self.pause > 0:
            raise ConfigurationError(
                f"the pause is {self.pause}, expected more than 0 seconds", fix="--pause-writes 30"
            )


class VerifyStep(Protocol):
    def __call__(self, *, last: bool) -> Verification:
        """Copy the last changes and compare all keys."""


class ChangesStep(Protocol):
    def __call__(self) -> None:
        """Copy the keys that are known to have changed."""


class CutOverStep:
    """The last step of a migration."""

    def __init__(
        self, context: RunContext, reporter: ProgressReporter, copy_changes: ChangesStep, verify: VerifyStep
    ) -> None:
        self._context = context
        self._reporter = reporter
        self._copy_changes = copy_changes
        self._verify = verify

    def run(self, how: CutOver) -> tuple[Verification, float]:
        """Wait until writes stop, copy the last changes and verify; return the result and the downtime in seconds.

        Raises:
            ConfigurationError: Clients do not stop writing, or a pause is too short.
            redis.RedisError: A server is unreachable or rejected a command.
        """
        writes = WriteCounter(self._context.source)
        pause = cutover.paused(self._context.source, how.pause) if how.pause else contextlib.nullcontext(math.inf)
        self._reporter.stage("cut-over")
        if how.pause is None:
            self._reporter.note(
                "caught up: stop the writers now, and point them to the target after this command has finished"
            )
        with pause as pause_ends:
            end = time.monotonic() + how.timeout
            while True:
                quiet_since, marks = self._await_quiet(writes, how, end)
                self._reporter.note("writes have stopped: running the last delta pass and the verification")
                verification = self._verify(last=True)
                if time.monotonic() > pause_ends:
                    raise ConfigurationError(
                        f"the last delta pass and the verification took longer than the pause of {how.pause:g} s, "
                        "so clients may have written in the meantime",
                        fix="pass a longer --pause-writes, or stop the writers and leave it out",
                    )
                if not cutover.writes_between(marks, writes.marks()):
                    break
                self._reporter.note("the source was written to during the verification: repeating it")
            downtime = time.monotonic() - quiet_since
        if how.pause:
            self._reporter.note(
                f"writes stay paused for {pause_ends - time.monotonic():,.0f} s: switch the writers now"
            )
        return verification, downtime

    def _await_quiet(self, writes: WriteCounter, how: CutOver, end: float) -> tuple[float, dict[str, WriteMark]]:
        """The time of the last write, and what the source reports since then."""
        marks, since = writes.marks(), time.monotonic()
        noted = since
        needed = CUT_OVER_POLL_INTERVAL_SECONDS if how.pause else how.quiet  # notifications may still arrive
        while time.monotonic() - since < needed:
            self._context.stop.wait(CUT_OVER_POLL_INTERVAL_SECONDS)
            self._context.check_stop()
            self._copy_changes()
            now = writes.marks()
            if written := cutover.writes_between(marks, now):
                since = time.monotonic()
                commands = ", ".join(f"{name.upper()} {number:,}" for name, number in sorted(written.items()))
                if since > end:
                    raise ConfigurationError(
                        f"clients still write to the source after {how.timeout:,.0f} s: {commands}",
                        fix="stop the writers or pass --pause-writes, then run the command again to resume",
                    )
                if since - noted >= NOTE_INTERVAL_SECONDS:
                    noted = since
                    self._reporter.note(f"waiting until writes stop; since the last check: {commands}")
            marks = now
        return since, marks
