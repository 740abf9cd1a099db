"""Reports to the server how jobs ended, and to the listeners."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from valkeykit.queue import events
from valkeykit.queue.events import Event, Listener, logger
from valkeykit.queue.outcomes import InvalidResultError, Outcome, Report, is_final, jobs_of, take_report

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.calls import Call
    from valkeykit.queue.leases import LeaseManager
    from valkeykit.queue.pace import Pace

REFUSALS = 3
"""How often a report fails before its jobs are reported one by one."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries, at most."""


class Reporter:
    """Ends the holding of each job that ran. One report is on its way at a time."""

    def __init__(
        self,
        *,
        queue: AsyncQueue,
        outcomes: deque[Outcome],
        leases: LeaseManager,
        pace: Pace,
        worker: str,
        listeners: Sequence[Listener],
    ) -> None:
        self._queue = queue
        self._outcomes = outcomes
        self._leases = leases
        self._pace = pace
        self._worker = worker
        self._listeners = listeners
        self._reporting = asyncio.Lock()

    async def report(self) -> None:
        """Report every job that has ended; until the server has answered, they stay held.

        When it returns, a report that was on its way before has arrived too: a worker that ends must wait for it.
        """
        async with self._reporting:
            while self._outcomes:
                await self._deliver(take_report(self._outcomes, self._queue.max_result))

    async def _deliver(self, report: Report) -> None:
        """Send a report until it is answered. One job that the server can't take must not hold up the others."""
        calls, answers, refusals = list(self._calls(report)), list[Any](), 0
        while calls:
            try:
                answers.append(await self._queue.send(calls[0]))
            except Exception as error:  # noqa: BLE001  (whatever it is, the jobs stay held)
                refusals += 1
                events.log_trouble(error, "queue %s: can't acknowledge jobs", self._queue.name)
                if refusals >= REFUSALS and await self._leases.is_server_well():
                    await self._isolate(report, error)
                    return
                await asyncio.sleep(min(0.5 * refusals, LONGEST_PAUSE))
            else:
                calls.pop(0)
        self._settle(report, *_merge(answers))

    async def _isolate(self, report: Report, error: Exception) -> None:
        if len(report.outcomes) > 1:
            for outcome in report.outcomes:
                await self._deliver(take_report(deque([outcome]), self._queue.max_result))
        elif report.failed:
            logger.error(
                "queue %s: job %s can't be reported; its lease ends", self._queue.name, report.outcomes[0].job.id
            )
            self._settle(report, set(), set())
        else:
            refused = InvalidResultError(f"the server didn't accept the result: {error}")
            outcome = report.outcomes[0]._replace(error=refused)
            await self._deliver(take_report(deque([outcome]), self._queue.max_result))

    def _calls(self, report: Report) -> Iterator[Call[Any]]:
        """Each may be sent again after an error: it gets the answer of the first time."""
        calls = self._queue.calls
        if report.plain or report.with_results:
            yield calls.finish(self._worker, report.plain, report.with_results)
        if report.failed:
            yield calls.fail(self._worker, report.failed)
        if report.cancelled:
            yield calls.drop(self._worker, report.cancelled)

    def _settle(self, report: Report, lost: set[bytes], cancelled: set[bytes]) -> None:
        self._leases.drop(jobs_of(report.outcomes))
        self._pace.ended(len(report.outcomes))
        if len(self._listeners) == 1 and not lost and all(outcome.error is None for outcome in report.outcomes):
            return  # no one listens to jobs that went well
        now = time.monotonic()
        for outcome in report.outcomes:
            key = outcome.job.key
            events.publish(
                self._listeners, _event(self._queue.name, outcome, now, lost=key in lost, cancelled=key in cancelled)
            )


def _merge(answers: list[Any]) -> tuple[set[bytes], set[bytes]]:
    """Ids of jobs that were lost, and of those that were cancelled meanwhile, which only `fail` tells."""
    lost: set[bytes] = set()
    cancelled: set[bytes] = set()
    for answer in answers:
        gone, stopped = answer if isinstance(answer, tuple) else (answer, [])
        lost.update(gone)
        cancelled.update(stopped)
    return lost, cancelled


def _event(queue: str, outcome: Outcome, now: float, lost: bool, cancelled: bool) -> Event:
    job, _, error = outcome
    kind: events.Kind = "completed"
    if lost:
        kind = "lost"
    elif cancelled or (error is not None and job.interrupt == "cancelled"):
        kind = "cancelled"
    elif error is not None:
        kind = "dead" if is_final(job, error) else "failed"
    return Event(kind, queue, job.id, job.spec.name, job.attempt, now - (job.started or now), error)
