"""The jobs that a worker holds: renews leases, applies timeouts and cancellations."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ValkeykitError
from valkeykit.queue import events
from valkeykit.queue.events import logger
from valkeykit.queue.worker.executor import GRACE

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.job import Interruption, Job
    from valkeykit.queue.queue import Queue
    from valkeykit.queue.worker.executor import Slots
    from valkeykit.queue.worker.lease_guard import LeaseGuard

TICK = 0.1
"""Seconds between two looks at what runs."""

RENEWALS = 6
"""How often a lease is renewed in its own time; cancellations are seen as often."""

LONGEST_SILENCE = 10.0
"""Seconds between two renewals at most, so that a worker with a long lease does not look failed."""

STALLED = 0.5
"""Seconds that a job may wait for a slot here before it goes back, for another worker to take."""

BATCH = 1000

Description = Callable[[], dict[str, Any]]
"""Returns the worker's description of itself, as JSON values."""


class LeaseManager:
    """held: every job that was taken and whose end has not been reported to the server, by its key."""

    def __init__(
        self, queue: AsyncQueue, slots: Slots, worker: str, lease: float, guard: LeaseGuard | None = None
    ) -> None:
        self.held: dict[bytes, Job] = {}
        self._queue = queue
        self._slots = slots
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._guard = guard
        self._giving_back = asyncio.Lock()
        self._starting: list[tuple[Job, asyncio.Future[bool]]] = []
        self._starter: asyncio.Task[None] | None = None

    @property
    def has_suspect(self) -> bool:
        """Whether a job is held that has lost workers before."""
        return any(job.is_suspect for job in self.held.values())

    def hold(self, jobs: list[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            job.taken = now
            if (previous := self.held.get(job.key)) is not None:  # its lease had ended
                self._slots.interrupt(previous, "lost")
            self.held[job.key] = job
        if self._guard is not None and jobs:
            self._guard.hold(jobs)

    def drop(self, jobs: list[Job]) -> None:
        """Stop holding jobs whose end the server has recorded. One that was taken again meanwhile stays."""
        mine = [job for job in jobs if self.held.get(job.key) is job]
        for job in mine:
            del self.held[job.key]
        if self._guard is not None and mine:
            self._guard.drop(mine)

    async def tick(self) -> None:
        """Look at everything once. It is called every TICK seconds while something is held."""
        now = time.monotonic()
        for job in tuple(self._slots.running):
            self._watch(job, now)
        for job in tuple(self._slots.running):
            if job.reported is not None:
                value, job.reported = job.reported, None
                await self._queue.send(self._queue.calls.progress(self._worker, job.key, job.attempt, value))

    def is_stalled(self) -> bool:
        """Whether jobs wait here for too long: more were taken than there are slots for."""
        now = time.monotonic()
        if not self._slots.ready or self._slots.busy < self._slots.concurrency:
            return False
        running = [job.started for job in tuple(self._slots.running)]
        return bool(running) and len(running) == self._slots.concurrency and now - max(running) > STALLED

    async def give_back(self, jobs: list[Job], delay: float = 0) -> None:
        """Return jobs that have not run, after those that are on their way back already."""
        async with self._giving_back:
            for batch in batches(jobs):
                self.drop(batch)
                call = self._queue.calls.release(self._worker, flat(batch), round(delay * 1000))
                await self._queue.send(call)

    async def confirm(self, job: Job) -> bool:
        """Record on the server that a job begins its last attempt. False where it must not run: then it goes back.

        Jobs that begin together are recorded in one call.
        """
        noted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._starting.append((job, noted))
        if self._starter is None:
            self._starter = asyncio.create_task(self._note_starts())
        return await asyncio.shield(noted)

    def begin(self, job: Job) -> None:
        """Note that the handler of a job's last attempt is called now. It may be called from any thread."""
        if self._guard is not None:
            self._guard.begin(job)

    async def is_server_well(self) -> bool:
        """Whether the server accepts a small write from this worker."""
        try:
            await self._queue.send(self._queue.calls.renew(self._worker, self._lease_ms, []))
        except ValkeykitError:
            return False
        return True

    async def _note_starts(self) -> None:
        while self._starting:
            batch, self._starting = self._starting[:BATCH], self._starting[BATCH:]
            jobs = [job for job, _ in batch]
            try:
                gone = set(await self._queue.send(self._queue.calls.start(self._worker, flat(jobs))))
            except Exception as error:  # noqa: BLE001  (whatever it is, none of them has begun)
                events.log_trouble(error, "queue %s: can't record the start of jobs", self._queue.name)
                gone = {job.key for job in jobs}
            for job, noted in batch:
                if not noted.done():
                    noted.set_result(job.key not in gone)
            await self._give_back_unstarted([job for job in jobs if job.key in gone])
        self._starter = None

    async def _give_back_unstarted(self, jobs: list[Job]) -> None:
        try:
            await self.give_back(jobs)
        except ValkeykitError as error:
            logger.warning("queue %s: jobs can't be given back, so their leases expire: %s", self._queue.name, error)

    def _watch(self, job: Job, now: float) -> None:
        limit = job.spec.timeout / 1000
        if limit and job.called and now - job.called > limit:
            self._slots.interrupt(job, "timeout")
        if job.interrupt is not None and now - job.interrupted_at > GRACE and job.is_in_slot:
            logger.error(
                "queue %s: job %s did not end when it was interrupted; its slot is replaced", self._queue.name, job.id
            )
            self._slots.abandon(job)


class Renewal(threading.Thread):
    """Renews leases in a thread and over a connection of its own, so that a handler that blocks the loop loses none.

    contact: when the server last answered, by time.monotonic(); 0 before the first time.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        held: dict[bytes, Job],
        worker: str,
        lease: float,
        describe: Description,
        interrupt: Callable[[list[Job], Interruption], None],
        guard: LeaseGuard | None = None,
    ) -> None:
        super().__init__(name="valkeykit-leases", daemon=True)
        self.contact = 0.0
        self._queue = queue
        self._held = held
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._every = min(lease / RENEWALS, LONGEST_SILENCE)
        self._describe = describe
        self._interrupt = interrupt
        self._guard = guard
        self._ended = threading.Event()

    def run(self) -> None:
        """Renew until `stop` is called; errors are logged, and it is tried again soon."""
        pause = 0.0
        while not self._ended.wait(pause):
            pause = self._every
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001  (leases must be renewed whatever happens)
                pause = min(0.5, self._every)
                if not self._ended.is_set():
                    events.log_trouble(error, "queue %s: leases can't be renewed", self._queue.name)
        self._queue.close()

    def stop(self) -> None:
        """Renew no longer; the thread ends soon."""
        self._ended.set()

    def _renew(self) -> None:
        about = json.dumps(self._describe(), separators=(",", ":"))
        for batch in batches(list(self._held.values())) or [[]]:
            call = self._queue.calls.renew(self._worker, self._lease_ms, flat(batch), about)
            lost, cancelled = self._queue.send(call)
            self.contact = time.monotonic()
            answers: tuple[tuple[list[bytes], Interruption], ...] = ((lost, "lost"), (cancelled, "cancelled"))
            for keys, reason in answers:
                if keys:
                    found = set(keys)
                    self._interrupt([job for job in batch if job.key in found], reason)
        if self._guard is not None:
            self._guard.tell(about)


def batches(jobs: list[Job]) -> list[list[Job]]:
    return [jobs[first : first + BATCH] for first in range(0, len(jobs), BATCH)]


def flat(jobs: Iterable[Job]) -> list[Any]:
    """Ids and attempts, as scripts take them."""
    parts: list[Any] = []
    for job in jobs:
        parts += (job.key, job.attempt)
    return parts
