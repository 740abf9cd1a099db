"""Keeps what a worker holds: leases are renewed, time-outs and cancellations take effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ValkeykitError
from valkeykit.queue.events import logger
from valkeykit.queue.slots import GRACE

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.job import Job
    from valkeykit.queue.slots import Slots

TICK = 0.1
"""Seconds between two looks at what runs."""

RENEWALS = 6
"""How often a lease is renewed in its own time; cancellations are seen as often."""

STALLED = 0.5
"""Seconds that a job may wait for a slot here before it goes back, for another worker to take."""

BATCH = 1000


class Keeper:
    """held: every job that was taken and whose end the server has not been told, by its key."""

    def __init__(self, queue: AsyncQueue, slots: Slots, worker: str, lease: float) -> None:
        self.held: dict[bytes, Job] = {}
        self._queue = queue
        self._slots = slots
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._every = lease / RENEWALS
        self._renewed = time.monotonic()
        self._giving_back = asyncio.Lock()

    def hold(self, jobs: Iterable[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            job.taken = now
            self.held[job.key] = job

    async def tick(self) -> None:
        """Look at everything once. It is called every TICK seconds while something is held."""
        now = time.monotonic()
        for job in tuple(self._slots.running):
            self._watch(job, now)
        try:
            await self._report_progress()
            if now - self._renewed >= self._every:
                self._renewed = now
                await self._renew()
        except ValkeykitError as error:
            logger.warning("queue %s: leases can't be renewed: %s", self._queue.name, error)

    def stalled(self) -> bool:
        """Whether jobs wait here for too long: more were taken than there are slots for."""
        now = time.monotonic()
        if not self._slots.ready or self._slots.busy < self._slots.concurrency:
            return False
        running = [job.started for job in tuple(self._slots.running)]
        return bool(running) and len(running) == self._slots.concurrency and now - max(running) > STALLED

    async def give_back(self, jobs: list[Job]) -> None:
        """Return jobs that have not started, after those that are on their way back already."""
        async with self._giving_back:
            for batch in _batches(jobs):
                for job in batch:
                    self.held.pop(job.key, None)
                await self._queue.send(self._queue.calls.release(self._worker, _flat(batch)))

    def _watch(self, job: Job, now: float) -> None:
        limit = job.spec.timeout / 1000
        if not limit:
            return
        if now - job.started > limit:
            self._slots.interrupt(job, "timeout")
        if now - job.started > limit + GRACE and job.thread is not None:
            logger.error("queue %s: job %s doesn't end; its thread is given up", self._queue.name, job.id)
            self._slots.abandon(job)

    async def _renew(self) -> None:
        for batch in _batches(list(self.held.values())):
            lost, cancelled = await self._queue.send(
                self._queue.calls.renew(self._worker, self._lease_ms, _flat(batch))
            )
            for keys, reason in ((lost, "lost"), (cancelled, "cancelled")):
                for key in keys:
                    job = self.held.get(key)
                    if job is not None:
                        self._slots.interrupt(job, reason)

    async def _report_progress(self) -> None:
        for job in tuple(self._slots.running):
            if job.reported is not None:
                value, job.reported = job.reported, None
                await self._queue.send(self._queue.calls.progress(self._worker, job.key, job.attempt, value))


def _batches(jobs: list[Job]) -> Iterator[list[Job]]:
    for first in range(0, len(jobs), BATCH):
        yield jobs[first : first + BATCH]


def _flat(jobs: Iterable[Job]) -> list[Any]:
    flat: list[Any] = []
    for job in jobs:
        flat += (job.key, job.attempt)
    return flat
