"""Takes jobs for a worker, gives back those that it can't run, and adds the jobs of repeats that are due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from valkeykit.causes import FOREIGN
from valkeykit.errors import InvalidJobError, UnsupportedServerError
from valkeykit.queue import events
from valkeykit.queue.events import Event, Listener, logger
from valkeykit.queue.job import Job, unpack
from valkeykit.queue.options import Spec
from valkeykit.queue.schema import CorruptJobError, NewerFormatError

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.handlers import Handler
    from valkeykit.queue.protocol import Call
    from valkeykit.queue.responses import Assignment, DueRepeat, Reaped
    from valkeykit.queue.worker.executor import Slots
    from valkeykit.queue.worker.leases import LeaseManager

BLOCK = 2.0
"""Seconds that an idle worker waits in one command: it sends one command a second."""

SUSPECT_BLOCK = 0.1
"""Seconds that a worker waits while it holds a job that has lost workers, since it may take the next such job soon."""

RETURN_DELAY = 0.1
LONGEST_RETURN_DELAY = 8.0
"""Seconds before a job that this worker can't run may be taken again, by any. It grows for a job that keeps coming."""

PATIENT_RETURNS = 8
"""How often a job comes before the delay grows: in the middle of a deployment, other workers may have its handler."""

REMEMBERED = 10_000
"""Jobs that were given back and are remembered, the latest ones."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries where the server refuses, at most."""

AHEAD = 0.05
"""Seconds of work that a worker takes ahead, so that short jobs don't wait for round trips."""

MOST = 1000


class Pace:
    """Watches how fast jobs end while there is work.

    limited: whether the queue has a rate limit, which counts jobs when they are taken: then none is taken ahead.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._rate = 0.0
        self._since = time.monotonic()
        self.limited = False

    def room(self, ready: int, busy: int) -> int:
        """How many more jobs to take now."""
        free = self._concurrency - busy - ready
        if self.limited:
            return max(free, 0)
        ahead = min(MOST, int(self._rate * AHEAD))
        if ready > ahead // 2 and free <= 0:
            return 0
        return min(MOST, max(free, 0) + ahead - min(ready, ahead))

    def begin(self, *, idle: bool) -> None:
        """Work was handed out; time before it doesn't count if there was none."""
        if idle:
            self._since = time.monotonic()

    def ended(self, jobs: int) -> None:
        now = time.monotonic()
        rate = jobs / max(now - self._since, 1e-6)
        # Jobs that take longer than AHEAD leave nothing to take ahead.
        self._rate = 0.7 * self._rate + 0.3 * rate
        self._since = now

    def reset(self) -> None:
        self._rate = 0.0


class Taker:
    """contact: when a take was last answered. began: when the present one began; None before the first one
    and while no slot is free.
    """

    def __init__(
        self,
        *,
        queue: AsyncQueue,
        handlers: Mapping[str, Handler],
        slots: Slots,
        leases: LeaseManager,
        pace: Pace,
        worker: str,
        lease: float,
        listeners: Sequence[Listener],
    ) -> None:
        self.contact = 0.0
        self.began: float | None = None
        self.changed = asyncio.Event()
        self._queue = queue
        self._handlers = handlers
        self._slots = slots
        self._leases = leases
        self._pace = pace
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._listeners = listeners
        self._taking = asyncio.Lock()
        self._unanswered: Call[Assignment] | None = None
        self._passed_suspects = False
        self._returns: OrderedDict[bytes, int] = OrderedDict()
        self._warned: set[str] = set()

    async def take_forever(self, *, until_empty: bool = False) -> None:
        """Take jobs and hand them to the slots.

        Args:
            until_empty: return when no job waits and none runs.

        Raises:
            UnsupportedServerError: the server would lose jobs.
        """
        failures = 0
        while True:
            room = self._pace.room(self._slots.ready, self._slots.busy)
            if room <= 0:
                self.began = None
                await self._something_changed()
                continue
            self.began = time.monotonic()
            try:
                assignment = await self._take(room)
                if assignment.repeats_due:
                    await self._fire_repeats()
                is_idle = not assignment.jobs and self._slots.is_idle
                if until_empty and is_idle and await self._is_empty():
                    return
                if not assignment.jobs and assignment.next_event != 0:
                    await self._wait_for_work(assignment.next_event)
                failures = 0
            except UnsupportedServerError:
                raise
            except Exception as error:  # noqa: BLE001  (a worker continues whatever happens)
                failures += 1
                events.log_trouble(error, "queue %s: can't take jobs", self._queue.name)
                await asyncio.sleep(min(0.5 * failures, LONGEST_PAUSE))

    async def finish(self, seconds: float) -> None:
        """Wait for a take that is on its way, so that no job is leased to a worker that has ended."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._taking.acquire(), seconds)

    async def give_back_unanswered(self) -> None:
        """Give back what a take leased whose answer never arrived."""
        if self._unanswered is not None:
            assignment = await self._queue.send(self._unanswered)
            jobs = [Job(key, attempt, Spec("?"), b"", None) for key, attempt, _ in assignment.jobs]
            await self._leases.give_back(jobs)

    async def _take(self, room: int) -> Assignment:
        """Take jobs and hand them to the slots, before anything else that may fail.

        A take whose answer is lost is sent again as it was, until there is one: it returns the same jobs.
        """
        async with self._taking:
            if self._unanswered is None:
                free = max(0, self._slots.concurrency - self._slots.busy - self._slots.ready)
                self._passed_suspects = self._leases.has_suspect
                self._unanswered = self._queue.calls.take(
                    self._worker, room, self._lease_ms, free=free, suspect=not self._passed_suspects
                )
            assignment = await self._queue.send(self._unanswered)
            self._unanswered = None
            self.contact = time.monotonic()
            self._pace.limited = assignment.is_limited
            jobs, unknown = self._unpack(assignment)
            self._pace.begin(idle=self._slots.is_idle)
            self._slots.offer(jobs)
        self._note_reaped(assignment.reaped)
        if unknown:
            await self._give_back_unknown(unknown)
        return assignment

    def _unpack(self, assignment: Assignment) -> tuple[list[Job], list[Job]]:
        """The jobs that can run here, and those that have no handler here. All of them are held from now on."""
        jobs, unknown = list[Job](), list[Job]()
        for index, (key, attempt, record) in enumerate(assignment.jobs):
            try:
                job = unpack(key, attempt, record, self._handlers)
            except NewerFormatError as problem:
                job = Job(key, attempt, Spec("?"), b"", None)
                self._warn_once("format", "jobs are given back: %s", problem)
            except CorruptJobError as error:
                job = Job(key, attempt, Spec("?"), b"", None)
                self._leases.hold([job])
                self._slots.end(job, error=error)
                continue
            else:
                if job.handler is None:
                    self._warn_once(
                        job.spec.name, "jobs are given back: this worker has no handler for %r", job.spec.name
                    )
            job.is_suspect = index < assignment.suspects
            (unknown if job.handler is None else jobs).append(job)
        self._leases.hold(jobs)
        self._leases.hold(unknown)
        return jobs, unknown

    async def _give_back_unknown(self, jobs: list[Job]) -> None:
        by_delay: dict[float, list[Job]] = {}
        for job in jobs:
            by_delay.setdefault(self._return_delay(job), []).append(job)
        for delay, group in by_delay.items():
            await self._leases.give_back(group, delay)

    def _return_delay(self, job: Job) -> float:
        times = self._returns.pop(job.key, 0) + 1
        self._returns[job.key] = times
        if len(self._returns) > REMEMBERED:
            self._returns.popitem(last=False)
        growth: int = 2 ** min(max(times - PATIENT_RETURNS, 0), 10)
        return min(RETURN_DELAY * growth, LONGEST_RETURN_DELAY)

    def _note_reaped(self, reaped: list[Reaped]) -> None:
        """Jobs whose lease this take found ended: their workers may be gone, so this one reports them."""
        kinds: dict[str, events.Kind] = {"waiting": "lost", "dead": "dead", "cancelled": "cancelled"}
        for job in reaped:
            event = Event(kinds[job.fate], self._queue.name, job.id, job.name, job.attempt, 0.0, events.LEASE_ENDED)
            events.publish(self._listeners, event)

    async def _is_empty(self) -> bool:
        counts = await self._queue.send(self._queue.calls.statistics())
        return counts.waiting == 0 or counts.paused

    async def _wait_for_work(self, next_event: int) -> None:
        """Until a job is added, or until one is due. Several idle workers are woken one by one."""
        longest = SUSPECT_BLOCK if self._passed_suspects else BLOCK
        seconds = longest if next_event < 0 else max(0.001, min(longest, next_event / 1000))
        with contextlib.suppress(*FOREIGN):  # the next take reports the error
            await self._queue.wait_for_wake(seconds)

    async def _fire_repeats(self) -> None:
        """Those that are due now: one that is due again meanwhile must not keep the worker from taking jobs."""
        skip, now = 0, None
        while due := await self._queue.send(self._queue.calls.repeats_due(skip)):
            now = now or due[0].now
            if due[0].at > now:
                break
            left = [repeat for repeat in due if not await self._fire(repeat)]
            skip += len(left)

    async def _fire(self, due: DueRepeat) -> bool:
        """Add a repeat's job. False where this worker can't read the repeat: another one may."""
        try:
            call = self._queue.calls.fire(due)
        except InvalidJobError as error:
            self._warn_once(f"repeat {due.name}", "the repeat %s is left to other workers: %s", due.name, error)
            return False
        await self._queue.send(call)
        return True

    def _warn_once(self, about: str, text: str, *arguments: Any) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning("queue %s: " + text, self._queue.name, *arguments)

    async def _something_changed(self) -> None:
        await self.changed.wait()
        self.changed.clear()
