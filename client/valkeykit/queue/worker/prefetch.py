"""Prefetching of jobs: their number, the takes, and the jobs of due schedules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.errors import InvalidJobError, UnsupportedServerError
from valkeykit.queue import job_events
from valkeykit.queue.job import Job, unpack
from valkeykit.queue.job_events import Event, Listener, logger
from valkeykit.queue.job_options import JobSpec
from valkeykit.queue.schema import CorruptJobError, NewerFormatError

if TYPE_CHECKING:
    from valkeykit.queue.aqueue import AsyncQueue
    from valkeykit.queue.handlers import Handler
    from valkeykit.queue.protocol import ScriptCall
    from valkeykit.queue.responses import DueSchedule, ReapedJob, TakeResult
    from valkeykit.queue.worker.job_executor import JobExecutor
    from valkeykit.queue.worker.leases import LeaseManager
    from valkeykit.vocabulary import EventKind, ReapedFate

POLL_BLOCK_SECONDS = 2.0
"""Seconds that an idle worker blocks in one command: it sends one command a second."""

SUSPECT_POLL_SECONDS = 0.1
"""Seconds that a worker waits while it holds a job that has lost workers, since it may take the next such job soon."""

RELEASE_DELAY_SECONDS = 0.1
MAX_RELEASE_DELAY_SECONDS = 8.0
"""Seconds before a job that this worker can't run may be taken again. It grows for a job that keeps coming."""

RELEASES_BEFORE_BACKOFF = 8
"""Releases of a job before the delay grows: during a deployment, other workers may have its handler."""

MAX_REMEMBERED_RELEASES = 10_000
"""Released jobs that are remembered, the latest ones."""

MAX_RETRY_PAUSE_SECONDS = 5.0
"""Seconds between two attempts while the server fails, at most."""

PREFETCH_SECONDS = 0.05
"""Seconds of work that a worker prefetches, so that short jobs don't wait for round trips."""

MAX_TAKEN_JOBS = 1000
"""Jobs of one take, at most."""


class PrefetchController:
    """Measures how fast jobs end, and so how many to take at once.

    Attributes:
        is_rate_limited: Whether the queue has a rate limit. It counts jobs that are taken, so then none is prefetched.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._rate = 0.0
        self._since = time.monotonic()
        self.is_rate_limited = False

    def capacity(self, ready: int, busy: int) -> int:
        """How many more jobs to take now."""
        free = self._concurrency - busy - ready
        if self.is_rate_limited:
            return max(free, 0)
        ahead = min(MAX_TAKEN_JOBS, int(self._rate * PREFETCH_SECONDS))
        if ready > ahead // 2 and free <= 0:
            return 0
        return min(MAX_TAKEN_JOBS, max(free, 0) + ahead - min(ready, ahead))

    def on_started(self, *, idle: bool) -> None:
        """Work was handed out; time before it doesn't count if there was none."""
        if idle:
            self._since = time.monotonic()

    def on_finished(self, jobs: int) -> None:
        now = time.monotonic()
        rate = jobs / max(now - self._since, 1e-6)
        # Jobs that take longer than PREFETCH_SECONDS leave nothing to take ahead.
        self._rate = 0.7 * self._rate + 0.3 * rate
        self._since = now

    def reset(self) -> None:
        self._rate = 0.0


class JobFetcher:
    """Takes jobs from the server and submits them to the executor.

    Attributes:
        last_contact: When the server last responded to a take.
        take_started: When the current take began; None before the first one, and while no more jobs can run.
    """

    def __init__(
        self,
        *,
        queue: AsyncQueue,
        handlers: Mapping[str, Handler],
        executor: JobExecutor,
        leases: LeaseManager,
        prefetch: PrefetchController,
        worker: str,
        lease: float,
        listeners: Sequence[Listener],
    ) -> None:
        self.last_contact = 0.0
        self.take_started: float | None = None
        self.capacity_changed = asyncio.Event()
        self._queue = queue
        self._handlers = handlers
        self._executor = executor
        self._leases = leases
        self._prefetch = prefetch
        self._worker = worker
        self._lease_ms = round(lease * 1000)
        self._listeners = listeners
        self._taking = asyncio.Lock()
        self._unanswered: ScriptCall[TakeResult] | None = None
        self._excludes_suspects = False
        self._releases: OrderedDict[bytes, int] = OrderedDict()
        self._warned: set[str] = set()

    async def run(self, *, until_empty: bool = False) -> None:
        """Take jobs and submit them to the executor.

        Args:
            until_empty: Return when no job waits and none runs.

        Raises:
            UnsupportedServerError: The server would lose jobs.
        """
        failures = 0
        while True:
            capacity = self._prefetch.capacity(self._executor.ready, self._executor.busy)
            if capacity <= 0:
                self.take_started = None
                await self._wait_for_capacity()
                continue
            self.take_started = time.monotonic()
            try:
                result = await self._take(capacity)
                if result.schedules_due:
                    await self._fire_schedules()
                is_idle = not result.jobs and self._executor.is_idle
                if until_empty and is_idle and await self._is_empty():
                    return
                if not result.jobs and result.next_due_ms != 0:
                    await self._wait_for_work(result.next_due_ms)
                failures = 0
            except UnsupportedServerError:
                raise
            except Exception as error:  # noqa: BLE001  (a worker continues whatever happens)
                failures += 1
                job_events.log_trouble(error, "queue %s: can't take jobs", self._queue.name)
                await asyncio.sleep(min(0.5 * failures, MAX_RETRY_PAUSE_SECONDS))

    async def wait_for_take(self, seconds: float) -> None:
        """Wait for a take that is on its way, so that no job is leased to a worker that has ended."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._taking.acquire(), seconds)

    async def release_unanswered(self) -> None:
        """Release what a take leased whose answer never arrived."""
        if self._unanswered is not None:
            result = await self._queue.send(self._unanswered)
            jobs = [Job(key, attempt, JobSpec("?"), b"", None) for key, attempt, _ in result.jobs]
            await self._leases.release(jobs)

    async def _take(self, capacity: int) -> TakeResult:
        """Take jobs and submit them to the executor, before anything else that may fail.

        A take whose answer is lost is sent again as it was, until there is one: it returns the same jobs.
        """
        async with self._taking:
            if self._unanswered is None:
                free = max(0, self._executor.concurrency - self._executor.busy - self._executor.ready)
                self._excludes_suspects = self._leases.has_suspect
                self._unanswered = self._queue.protocol.take(
                    self._worker, capacity, self._lease_ms, free=free, suspect=not self._excludes_suspects
                )
            result = await self._queue.send(self._unanswered)
            self._unanswered = None
            self.last_contact = time.monotonic()
            self._prefetch.is_rate_limited = result.is_limited
            jobs, unknown = self._unpack(result)
            self._prefetch.on_started(idle=self._executor.is_idle)
            self._executor.submit(jobs)
        self._report_reaped(result.reaped)
        if unknown:
            await self._release_unknown(unknown)
        return result

    def _unpack(self, result: TakeResult) -> tuple[list[Job], list[Job]]:
        """The jobs that can run here, and those that have no handler here. All of them are held from now on."""
        jobs, unknown = list[Job](), list[Job]()
        queue, handlers = self._queue.name, self._handlers
        for index, (key, attempt, record) in enumerate(result.jobs):
            try:
                job = unpack(key, attempt, record, handlers, queue)
            except NewerFormatError as problem:
                job = Job(key, attempt, JobSpec("?"), b"", None)
                self._warn_once("format", "jobs are released: %s", problem)
            except CorruptJobError as error:
                job = Job(key, attempt, JobSpec("?"), b"", None)
                self._leases.track([job])
                self._executor.reject(job, error)
                continue
            else:
                if job.handler is None:
                    self._warn_once(
                        job.spec.name, "jobs are released: this worker has no handler for %r", job.spec.name
                    )
            if index < result.suspects:
                job.is_suspect = True
            (unknown if job.handler is None else jobs).append(job)
        self._leases.track(jobs)
        self._leases.track(unknown)
        return jobs, unknown

    async def _release_unknown(self, jobs: list[Job]) -> None:
        by_delay: dict[float, list[Job]] = {}
        for job in jobs:
            by_delay.setdefault(self._release_delay(job), []).append(job)
        for delay, group in by_delay.items():
            await self._leases.release(group, delay)

    def _release_delay(self, job: Job) -> float:
        times = self._releases.pop(job.key, 0) + 1
        self._releases[job.key] = times
        if len(self._releases) > MAX_REMEMBERED_RELEASES:
            self._releases.popitem(last=False)
        growth: int = 2 ** min(max(times - RELEASES_BEFORE_BACKOFF, 0), 10)
        return min(RELEASE_DELAY_SECONDS * growth, MAX_RELEASE_DELAY_SECONDS)

    def _report_reaped(self, reaped: list[ReapedJob]) -> None:
        """Jobs whose lease this take found to have ended: their workers may be gone, so this one reports them."""
        kinds: dict[ReapedFate, EventKind] = {"waiting": "lost", "dead": "dead", "cancelled": "cancelled"}
        for job in reaped:
            event = Event(kinds[job.fate], self._queue.name, job.id, job.name, job.attempt, 0.0, job_events.LEASE_ENDED)
            job_events.publish(self._listeners, event)

    async def _is_empty(self) -> bool:
        counts = await self._queue.send(self._queue.protocol.statistics())
        return counts.waiting == 0 or counts.paused

    async def _wait_for_work(self, next_due_ms: int) -> None:
        """Until a job is added, or until one is due. Several idle workers are woken one by one."""
        longest = SUSPECT_POLL_SECONDS if self._excludes_suspects else POLL_BLOCK_SECONDS
        seconds = longest if next_due_ms < 0 else max(0.001, min(longest, next_due_ms / 1000))
        with contextlib.suppress(*REDIS_ERRORS):  # the next take reports the error
            await self._queue.wait_for_wake(seconds)

    async def _fire_schedules(self) -> None:
        """Those that are due now: one that is due again meanwhile must not keep the worker from taking jobs."""
        skip, now = 0, None
        while due := await self._queue.send(self._queue.protocol.due_schedules(skip)):
            now = now or due[0].now
            if due[0].at > now:
                break
            left = [schedule for schedule in due if not await self._fire(schedule)]
            skip += len(left)

    async def _fire(self, due: DueSchedule) -> bool:
        """Add a schedule's job. False if this worker can't read the schedule: another one may."""
        try:
            call = self._queue.protocol.fire(due)
        except InvalidJobError as error:
            self._warn_once(f"schedule {due.name}", "the schedule %s is left to other workers: %s", due.name, error)
            return False
        await self._queue.send(call)
        return True

    def _warn_once(self, about: str, text: str, *arguments: Any) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning("queue %s: " + text, self._queue.name, *arguments)

    async def _wait_for_capacity(self) -> None:
        await self.capacity_changed.wait()
        self.capacity_changed.clear()
