"""Tells the server how jobs ended, and the listeners."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from valkeykit.errors import LoginError, UnsupportedServerError, ValkeykitError
from valkeykit.queue.events import Event, Listener, logger
from valkeykit.queue.job import CorruptJobError
from valkeykit.queue.outcomes import Outcome, report

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.keeper import Keeper
    from valkeykit.queue.pace import Pace
    from valkeykit.queue.slots import Slots

BATCH = 1000
"""Jobs that one call tells of."""


class Reporter:
    """The only one that ends the holding of a job that ran."""

    def __init__(
        self,
        *,
        queue: AsyncQueue,
        slots: Slots,
        keeper: Keeper,
        pace: Pace,
        worker: str,
        listeners: Sequence[Listener],
    ) -> None:
        self._queue = queue
        self._slots = slots
        self._keeper = keeper
        self._pace = pace
        self._worker = worker
        self._listeners = listeners
        self._reporting = asyncio.Lock()

    async def report(self) -> None:
        """Tell the server of every job that has ended; until it has heard, they stay held.

        When it returns, a report that was on its way before has arrived too: a worker that ends must wait for it.
        """
        outcomes = self._slots.outcomes
        async with self._reporting:
            while outcomes:
                await self._report_batch([outcomes.popleft() for _ in range(min(len(outcomes), BATCH))])

    async def _report_batch(self, batch: list[Outcome]) -> None:
        while True:
            try:
                lost = await self._send_report(batch)
            except (LoginError, UnsupportedServerError):
                raise
            except ValkeykitError as error:
                logger.warning("queue %s: can't acknowledge jobs: %s", self._queue.name, error)
                await asyncio.sleep(0.5)
            else:
                break
        for outcome in batch:
            self._keeper.held.pop(outcome.job.key, None)
        self._pace.ended(len(batch))
        self._publish(batch, lost)

    async def _send_report(self, batch: list[Outcome]) -> set[bytes]:
        """Each call may be sent again after an error: a job that is not held any more is left alone."""
        calls, told = self._queue.calls, report(batch)
        lost: set[bytes] = set()
        if told.plain or told.with_results:
            lost.update(await self._queue.send(calls.finish(self._worker, told.plain, told.with_results)))
        if told.failed:
            lost.update(await self._queue.send(calls.fail(self._worker, told.failed)))
        for job in told.cancelled:
            await self._queue.send(calls.drop_cancelled(self._worker, job.key, job.attempt))
        return lost

    def _publish(self, batch: list[Outcome], lost: set[bytes]) -> None:
        if len(self._listeners) == 1 and not lost and all(outcome.error is None for outcome in batch):
            return  # nobody listens to jobs that went well
        now = time.monotonic()
        for outcome in batch:
            event = _event(self._queue.name, outcome, now, lost=outcome.job.key in lost)
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:  # noqa: BLE001  (it must not stop the worker)
                    logger.exception("queue %s: a listener failed", self._queue.name)


def _event(queue: str, outcome: Outcome, now: float, *, lost: bool) -> Event:
    job, _, error = outcome
    kind = "completed"
    if lost:
        kind = "lost"
    elif job.interrupt == "cancelled":
        kind = "cancelled"
    elif error is not None:
        kind = "dead" if isinstance(error, CorruptJobError) or job.attempt >= job.spec.attempts else "failed"
    return Event(kind, queue, job.id, job.spec.name, job.attempt, now - (job.started or now), error)
