"""Reports to the server how jobs ended, and to the listeners."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from valkeykit.queue import events
from valkeykit.queue.events import Event, Listener, logger
from valkeykit.queue.job import Job
from valkeykit.queue.outcomes import (
    MAX_ERROR,
    InvalidResultError,
    Outcome,
    describe,
    describe_traceback,
    encode_result,
    is_final,
    next_delay,
)

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.protocol import Call
    from valkeykit.queue.worker.leases import LeaseManager
    from valkeykit.queue.worker.prefetch import Pace

REFUSALS = 3
"""How often a report fails before its jobs are reported one by one."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries, at most."""


REPORT_JOBS = 1000
REPORT_BYTES = 1024 * 1024
"""What one report holds; it goes beyond by one job at most."""


@dataclass
class Report:
    """Outcomes by the call that reports them, and its flat arguments.

    plain, with_results: of finish. failed: of fail. cancelled: of drop.
    """

    done: list[Outcome] = field(default_factory=list)
    plain: list[Any] = field(default_factory=list)
    with_results: list[Any] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)
    cancellations: list[Outcome] = field(default_factory=list)
    cancelled: list[Any] = field(default_factory=list)


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
                self._drop_replaced()
                await self._send(self._outcomes)

    def _drop_replaced(self) -> None:
        """A run whose job this worker has taken again meanwhile: its end must not be taken for that of the new run."""
        held = self._leases.held
        if all(held.get(job.key, job) is job for job in jobs_of(tuple(self._outcomes))):
            return
        for _ in range(len(self._outcomes)):  # threads may add to them meanwhile
            outcome = self._outcomes.popleft()
            if held.get(outcome.job.key, outcome.job) is outcome.job:
                self._outcomes.append(outcome)
            else:
                self._settle([outcome], {outcome.job.key}, set())

    async def _send(self, outcomes: deque[Outcome]) -> None:
        """Report as many outcomes as one report may hold."""
        report, calls = take_report(outcomes, self._queue.max_result), self._queue.calls
        if report.done:
            await self._deliver(calls.finish(self._worker, report.plain, report.with_results), report.done)
        if report.failures:
            await self._deliver(calls.fail(self._worker, report.failed), report.failures)
        if report.cancellations:
            await self._deliver(calls.drop(self._worker, report.cancelled), report.cancellations)

    async def _deliver(self, call: Call[Any], outcomes: list[Outcome]) -> None:
        """Send a call until it is answered. One job that the server rejects must not delay the others.

        A call that is sent again gets the answer of the first time.
        """
        refusals = 0
        while True:
            try:
                answer = await self._queue.send(call)
                break
            except Exception as error:  # noqa: BLE001  (whatever it is, the jobs stay held)
                refusals += 1
                events.log_trouble(error, "queue %s: can't acknowledge jobs", self._queue.name)
                if refusals >= REFUSALS and await self._leases.is_server_well():
                    await self._isolate(outcomes, error)
                    return
                await asyncio.sleep(min(0.5 * refusals, LONGEST_PAUSE))
        lost, cancelled = answer if isinstance(answer, tuple) else (answer, [])
        self._settle(outcomes, set(lost), set(cancelled))

    async def _isolate(self, outcomes: list[Outcome], error: Exception) -> None:
        if len(outcomes) > 1:
            for outcome in outcomes:
                await self._send(deque([outcome]))
        elif outcomes[0].error is None:
            refused = InvalidResultError(f"the server didn't accept the result: {error}")
            await self._send(deque([outcomes[0]._replace(error=refused)]))
        else:
            name, job = self._queue.name, outcomes[0].job
            logger.error("queue %s: can't report how job %s ended; its lease expires", name, job.id)
            self._settle(outcomes, set(), set())

    def _settle(self, outcomes: list[Outcome], lost: set[bytes], cancelled: set[bytes]) -> None:
        self._leases.drop(jobs_of(outcomes))
        self._pace.ended(len(outcomes))
        if len(self._listeners) == 1 and not lost and all(outcome.error is None for outcome in outcomes):
            return  # no one listens to jobs that went well
        now = time.monotonic()
        for outcome in outcomes:
            is_lost, is_cancelled = outcome.job.key in lost, outcome.job.key in cancelled
            event = _event(self._queue.name, outcome, now, lost=is_lost, cancelled=is_cancelled)
            events.publish(self._listeners, event)


def _event(queue: str, outcome: Outcome, now: float, *, lost: bool, cancelled: bool) -> Event:
    job, _, error = outcome
    kind: events.Kind = "completed"
    if lost:
        kind = "lost"
    elif cancelled or (error is not None and job.interrupt == "cancelled"):
        kind = "cancelled"
    elif error is not None:
        kind = "dead" if is_final(job, error) else "failed"
    return Event(kind, queue, job.id, job.spec.name, job.attempt, now - (job.started or now), error)


def take_report(outcomes: deque[Outcome], max_result: int) -> Report:
    """Take as many outcomes as one report may hold. A job whose lease was lost is reported too: the fence decides."""
    report, size, left = Report(), 0, REPORT_JOBS
    while outcomes and left and size < REPORT_BYTES:
        outcome = outcomes.popleft()
        left -= 1
        job, value, error = outcome
        if job.interrupt == "stopped":
            continue  # it was given back
        if error is None and job.spec.result_ttl:
            try:
                encoded = encode_result(value, max_result)
            except InvalidResultError as problem:
                outcome = outcome._replace(error=problem)
                error = problem
            else:
                report.with_results += (job.key, job.attempt, job.spec.result_ttl, encoded)
                size += len(encoded)
        elif error is None:
            report.plain += (job.key, job.attempt)
        if error is None:
            report.done.append(outcome)
        elif job.interrupt == "cancelled":
            report.cancelled += (job.key, job.attempt)
            report.cancellations.append(outcome)
        else:
            delay = next_delay(job, error)
            trace = describe_traceback(error) if delay < 0 else ""
            report.failed += (job.key, job.attempt, delay, describe(error), trace)
            size += MAX_ERROR + len(trace)
            report.failures.append(outcome)
    return report


def jobs_of(outcomes: Sequence[Outcome]) -> list[Job]:
    return [outcome.job for outcome in outcomes]
