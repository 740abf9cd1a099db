"""The leases of a worker: which jobs it holds, their renewal, timeouts and cancellations."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ValkeykitError
from valkeykit.queue import job_events
from valkeykit.queue.job_events import logger
from valkeykit.queue.log_fields import fields_of
from valkeykit.queue.worker.job_executor import INTERRUPT_GRACE_SECONDS
from valkeykit.queue.worker.lease_guard import LEASE_BATCH_JOBS, RENEWALS_PER_LEASE, LeaseGuard

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.job import Job
    from valkeykit.queue.queue import Queue
    from valkeykit.queue.worker.job_executor import JobExecutor
    from valkeykit.vocabulary import Interruption

CHECK_INTERVAL_SECONDS = 0.1
"""Seconds between two checks of the running jobs."""

MAX_RENEWAL_INTERVAL_SECONDS = 10.0
"""Seconds between two renewals at most, so that a worker with a long lease does not look failed."""

STALLED_SECONDS = 0.5
"""Seconds that a job may wait here before it is released, for another worker to take."""

Describe = Callable[[], dict[str, Any]]
"""Returns the worker's description of itself, as JSON values."""


class LeaseManager:
    """Tracks every job that was taken and whose end the server has not recorded. It alone adds and removes them."""

    def __init__(
        self, queue: AsyncQueue, executor: JobExecutor, worker: str, lease: float, guard: LeaseGuard | None = None
    ) -> None:
        self._leased: dict[bytes, Job] = {}
        self._queue = queue
        self._executor = executor
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._guard = guard
        self._releasing = asyncio.Lock()
        self._starting: list[tuple[Job, asyncio.Future[bool]]] = []
        self._starter: asyncio.Task[None] | None = None

    @property
    def has_suspect(self) -> bool:
        """Whether a job is held that has lost workers before."""
        return any(job.is_suspect for job in self._leased.values())

    @property
    def is_empty(self) -> bool:
        return not self._leased

    def jobs(self) -> list[Job]:
        """The jobs that are held now. It may be called from any thread."""
        return list(self._leased.values())

    def holds(self, job: Job) -> bool:
        """Whether this very run is held; a job that was released and taken again is another object."""
        return self._leased.get(job.key) is job

    def is_replaced(self, job: Job) -> bool:
        """Whether the job was taken again, so that another run of it is held."""
        return self._leased.get(job.key, job) is not job

    def track(self, jobs: list[Job]) -> None:
        """Hold jobs that were taken. A previous run of one of them, whose lease has ended, is interrupted."""
        for job in jobs:
            if (previous := self._leased.get(job.key)) is not None:
                self._executor.interrupt(previous, "lost")
            self._leased[job.key] = job
        if self._guard is not None and jobs:
            self._guard.track(jobs)

    def untrack(self, jobs: list[Job]) -> None:
        """Stop holding jobs whose end the server has recorded. One that was taken again meanwhile stays."""
        mine = [job for job in jobs if self.holds(job)]
        for job in mine:
            del self._leased[job.key]
        if self._guard is not None and mine:
            self._guard.untrack(mine)

    async def check_running(self) -> None:
        """Apply timeouts and report progress. It is called every CHECK_INTERVAL_SECONDS while a job is held."""
        now = time.monotonic()
        for job in tuple(self._executor.running):
            self._enforce_limits(job, now)
        for job in tuple(self._executor.running):
            if (value := job.take_progress()) is not None:
                await self._queue.send(self._queue.protocol.progress(self._worker, job.key, job.attempt, value))

    def is_stalled(self) -> bool:
        """Whether jobs wait here for too long: more were taken than can run at once."""
        now = time.monotonic()
        if not self._executor.ready or self._executor.busy < self._executor.concurrency:
            return False
        running = [job.started for job in tuple(self._executor.running)]
        return bool(running) and len(running) == self._executor.concurrency and now - max(running) > STALLED_SECONDS

    async def release(self, jobs: list[Job], delay: float = 0) -> None:
        """Return jobs that have not run to the queue, one batch after the other."""
        async with self._releasing:
            for batch in batches(jobs):
                self.untrack(batch)
                call = self._queue.protocol.release(self._worker, flat(batch), round(delay * 1000))
                await self._queue.send(call)

    async def record_start(self, job: Job) -> bool:
        """Record on the server that a job begins its last attempt. False if it must not run: then it is released.

        Jobs that begin together are recorded in one call.
        """
        noted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._starting.append((job, noted))
        if self._starter is None:
            self._starter = asyncio.create_task(self._record_starts())
        return await asyncio.shield(noted)

    def mark_started(self, job: Job) -> None:
        """Note that the handler of a job's last attempt is called now. It may be called from any thread."""
        if self._guard is not None:
            self._guard.mark_started(job)

    async def is_server_healthy(self) -> bool:
        """Whether the server accepts a small write from this worker."""
        try:
            await self._queue.send(self._queue.protocol.renew(self._worker, self._lease_ms, []))
        except ValkeykitError:
            return False
        return True

    async def _record_starts(self) -> None:
        while self._starting:
            batch, self._starting = self._starting[:LEASE_BATCH_JOBS], self._starting[LEASE_BATCH_JOBS:]
            jobs = [job for job, _ in batch]
            try:
                gone = set(await self._queue.send(self._queue.protocol.start(self._worker, flat(jobs))))
            except Exception as error:  # noqa: BLE001  (whatever it is, none of them has begun)
                job_events.log_trouble(error, "queue %s: can't record the start of jobs", self._queue.name)
                gone = {job.key for job in jobs}
            for job, noted in batch:
                if not noted.done():
                    noted.set_result(job.key not in gone)
            await self._release_unstarted([job for job in jobs if job.key in gone])
        self._starter = None

    async def _release_unstarted(self, jobs: list[Job]) -> None:
        try:
            await self.release(jobs)
        except ValkeykitError as error:
            logger.warning("queue %s: jobs can't be released, so their leases expire: %s", self._queue.name, error)

    def _enforce_limits(self, job: Job, now: float) -> None:
        limit = job.spec.timeout / 1000
        if limit and job.called and now - job.called > limit:
            self._executor.interrupt(job, "timeout")
        if job.interrupt is not None and now - job.interrupted_at > INTERRUPT_GRACE_SECONDS and job.is_running:
            text = "queue %s: job %s did not end when it was interrupted; it was abandoned"
            logger.error(text, self._queue.name, job.id, extra=fields_of(job))
            self._executor.abandon(job)


class LeaseRenewer(threading.Thread):
    """Renews leases in a thread and over a connection of its own, so that a handler that blocks the loop loses none.

    Attributes:
        last_contact: When the server last answered, by time.monotonic(); 0 before the first time.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        leased: Callable[[], list[Job]],
        worker: str,
        lease: float,
        describe: Describe,
        interrupt: Callable[[list[Job], Interruption], None],
        guard: LeaseGuard | None = None,
    ) -> None:
        super().__init__(name="valkeykit-leases", daemon=True)
        self.last_contact = 0.0
        self._queue = queue
        self._leased = leased
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._interval = min(lease / RENEWALS_PER_LEASE, MAX_RENEWAL_INTERVAL_SECONDS)
        self._describe = describe
        self._interrupt = interrupt
        self._guard = guard
        self._ended = threading.Event()

    def run(self) -> None:
        """Renew until `stop` is called; errors are logged, and it is tried again soon."""
        pause = 0.0
        while not self._ended.wait(pause):
            pause = self._interval
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001  (leases must be renewed whatever happens)
                pause = min(0.5, self._interval)
                if not self._ended.is_set():
                    job_events.log_trouble(error, "queue %s: leases can't be renewed", self._queue.name)
        self._queue.close()

    def stop(self) -> None:
        """Renew no longer; the thread ends soon."""
        self._ended.set()

    def _renew(self) -> None:
        description = json.dumps(self._describe(), separators=(",", ":"))
        for batch in batches(self._leased()) or [[]]:
            call = self._queue.protocol.renew(self._worker, self._lease_ms, flat(batch), description)
            lost, cancelled = self._queue.send(call)
            self.last_contact = time.monotonic()
            answers: tuple[tuple[list[bytes], Interruption], ...] = ((lost, "lost"), (cancelled, "cancelled"))
            for keys, reason in answers:
                if keys:
                    affected = set(keys)
                    self._interrupt([job for job in batch if job.key in affected], reason)
        if self._guard is not None:
            self._guard.renewed(description)


def batches(jobs: list[Job]) -> list[list[Job]]:
    return [jobs[first : first + LEASE_BATCH_JOBS] for first in range(0, len(jobs), LEASE_BATCH_JOBS)]


def flat(jobs: Iterable[Job]) -> list[Any]:
    """Ids and attempts, as scripts take them."""
    parts: list[Any] = []
    for job in jobs:
        parts += (job.key, job.attempt)
    return parts
