"""Acknowledgement of jobs: outcomes are sent to the server in batches, then to the listeners."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from valkeykit.queue import job_events
from valkeykit.queue.job import InvalidResultError, Job
from valkeykit.queue.job_events import Event, Listener, logger
from valkeykit.queue.log_fields import fields_of
from valkeykit.queue.outcomes import (
    MAX_ERROR_CHARACTERS,
    Outcome,
    describe,
    describe_traceback,
    encode_result,
    is_final,
    next_delay,
    recent_lines,
    total_run_ms,
)

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.protocol import ScriptCall
    from valkeykit.queue.worker.leases import LeaseManager
    from valkeykit.queue.worker.prefetch import PrefetchController
    from valkeykit.vocabulary import EventKind

MAX_BATCH_REJECTIONS = 3
"""Failures of a batch after which its jobs are acknowledged one by one."""

MAX_RETRY_PAUSE_SECONDS = 5.0
"""Seconds between two attempts, at most."""

MAX_BATCH_JOBS = 1000
MAX_BATCH_BYTES = 1024 * 1024
"""Size of a batch; the last job may exceed it."""


MAX_BATCH_RECENT = 5
"""Jobs of a batch that enter the list of recent ones, so that it costs little where many jobs run."""


@dataclass
class AckBatch:
    """Outcomes by the call that acknowledges them, and its flat arguments.

    Attributes:
        done: Outcomes of the call `finish`.
        plain: Its arguments for jobs without a result.
        with_results: Its arguments for jobs with a result.
        failures: Outcomes of the call `fail`.
        failed: Its arguments.
        cancellations: Outcomes of the call `drop`.
        cancelled: Its arguments.
    """

    done: list[Outcome] = field(default_factory=list)
    plain: list[Any] = field(default_factory=list)
    with_results: list[Any] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)
    cancellations: list[Outcome] = field(default_factory=list)
    cancelled: list[Any] = field(default_factory=list)


class Acknowledger:
    """Acknowledges every job that ran, then ends its lease. One batch is in flight at a time."""

    def __init__(
        self,
        *,
        queue: AsyncQueue,
        outcomes: deque[Outcome],
        leases: LeaseManager,
        prefetch: PrefetchController,
        worker: str,
        listeners: Sequence[Listener],
    ) -> None:
        self._queue = queue
        self._outcomes = outcomes
        self._leases = leases
        self._prefetch = prefetch
        self._worker = worker
        self._listeners = listeners
        self._sending = asyncio.Lock()

    async def flush(self) -> None:
        """Acknowledge every job that has ended; until the server has responded, their leases are kept.

        When it returns, a batch that was in flight before has arrived too: a worker that ends must wait for it.
        """
        async with self._sending:
            while self._outcomes:
                self._drop_replaced()
                await self._send(self._outcomes)

    def _drop_replaced(self) -> None:
        """A run whose job this worker has taken again meanwhile: its end must not be taken for that of the new run."""
        if not any(self._leases.is_replaced(job) for job in jobs_of(tuple(self._outcomes))):
            return
        for _ in range(len(self._outcomes)):  # threads may add to them meanwhile
            outcome = self._outcomes.popleft()
            if self._leases.is_replaced(outcome.job):
                self._complete([outcome], {outcome.job.key}, set())
            else:
                self._outcomes.append(outcome)

    async def _send(self, outcomes: deque[Outcome]) -> None:
        """Acknowledge as many outcomes as one batch may hold."""
        batch, protocol = take_batch(outcomes, self._queue.max_result), self._queue.protocol
        if batch.done:
            now = time.monotonic()
            call = protocol.finish(
                self._worker,
                batch.plain,
                batch.with_results,
                run_ms=total_run_ms(batch.done, now),
                recent=recent_lines(batch.done[-MAX_BATCH_RECENT:], now),
            )
            await self._deliver(call, batch.done)
        if batch.failures:
            await self._deliver(protocol.fail(self._worker, batch.failed), batch.failures)
        if batch.cancellations:
            await self._deliver(protocol.drop(self._worker, batch.cancelled), batch.cancellations)

    async def _deliver(self, call: ScriptCall[Any], outcomes: list[Outcome]) -> None:
        """Send a call until it is answered. One job that the server rejects must not delay the others.

        A call that is sent again gets the answer of the first time.
        """
        failures = 0
        while True:
            try:
                answer = await self._queue.send(call)
                break
            except Exception as error:  # noqa: BLE001  (whatever it is, the jobs stay held)
                failures += 1
                job_events.log_trouble(error, "queue %s: can't acknowledge jobs", self._queue.name)
                if failures >= MAX_BATCH_REJECTIONS and await self._leases.is_server_healthy():
                    await self._send_one_by_one(outcomes, error)
                    return
                await asyncio.sleep(min(0.5 * failures, MAX_RETRY_PAUSE_SECONDS))
        lost, cancelled = answer if isinstance(answer, tuple) else (answer, [])
        self._complete(outcomes, set(lost), set(cancelled))

    async def _send_one_by_one(self, outcomes: list[Outcome], error: Exception) -> None:
        if len(outcomes) > 1:
            for outcome in outcomes:
                await self._send(deque([outcome]))
        elif outcomes[0].error is None:
            rejected = InvalidResultError(f"the server didn't accept the result: {error}")
            await self._send(deque([outcomes[0]._replace(error=rejected)]))
        else:
            name, job = self._queue.name, outcomes[0].job
            text = "queue %s: can't report how job %s ended; its lease expires"
            logger.error(text, name, job.id, extra=fields_of(job))
            self._complete(outcomes, set(), set())

    def _complete(self, outcomes: list[Outcome], lost: set[bytes], cancelled: set[bytes]) -> None:
        self._leases.untrack(jobs_of(outcomes))
        self._prefetch.on_finished(len(outcomes))
        is_heard = len(self._listeners) > 1 or logger.isEnabledFor(logging.INFO)
        if not is_heard and not lost and all(outcome.error is None for outcome in outcomes):
            return  # neither a listener nor the log wants completed jobs
        now = time.monotonic()
        for outcome in outcomes:
            is_lost, is_cancelled = outcome.job.key in lost, outcome.job.key in cancelled
            event = _event(self._queue.name, outcome, now, lost=is_lost, cancelled=is_cancelled)
            job_events.publish(self._listeners, event)


def _event(queue: str, outcome: Outcome, now: float, *, lost: bool, cancelled: bool) -> Event:
    job, _, error = outcome
    kind: EventKind = "completed"
    if lost:
        kind = "lost"
    elif cancelled or (error is not None and job.interrupt == "cancelled"):
        kind = "cancelled"
    elif error is not None:
        kind = "dead" if is_final(job, error) else "failed"
    return Event(kind, queue, job.id, job.spec.name, job.attempt, now - (job.started or now), error, job.trace_id)


def take_batch(outcomes: deque[Outcome], max_result: int) -> AckBatch:
    """Take as many outcomes as one batch may hold. A job whose lease was lost is included too: the server decides."""
    batch, size, left = AckBatch(), 0, MAX_BATCH_JOBS
    while outcomes and left and size < MAX_BATCH_BYTES:
        outcome = outcomes.popleft()
        left -= 1
        job, value, error = outcome
        if job.interrupt == "stopped":
            continue  # it was released
        if error is None and job.spec.result_ttl:
            try:
                encoded = encode_result(value, max_result)
            except InvalidResultError as problem:
                outcome = outcome._replace(error=problem)
                error = problem
            else:
                batch.with_results += (job.key, job.attempt, job.spec.result_ttl, encoded)
                size += len(encoded)
        elif error is None:
            batch.plain += (job.key, job.attempt)
        if error is None:
            batch.done.append(outcome)
        elif job.interrupt == "cancelled":
            batch.cancelled += (job.key, job.attempt)
            batch.cancellations.append(outcome)
        else:
            delay = next_delay(job, error)
            trace = describe_traceback(error) if delay < 0 else ""
            batch.failed += (job.key, job.attempt, delay, describe(error), trace)
            size += MAX_ERROR_CHARACTERS + len(trace)
            batch.failures.append(outcome)
    return batch


def jobs_of(outcomes: Sequence[Outcome]) -> list[Job]:
    return [outcome.job for outcome in outcomes]
