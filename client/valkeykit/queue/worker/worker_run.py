"""One run of a worker: starts its parts, connects them and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ConfigurationError, LoginError, UnsupportedServerError, ValkeykitError
from valkeykit.queue import job_events
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.job_events import Listener, logger
from valkeykit.queue.queue import Queue
from valkeykit.queue.worker.acks import Acknowledger
from valkeykit.queue.worker.event_loop import cancelled, is_done_before
from valkeykit.queue.worker.job_executor import JobExecutor
from valkeykit.queue.worker.lease_guard import RENEWAL_RETRY_FRACTION, LeaseGuard
from valkeykit.queue.worker.leases import CHECK_INTERVAL_SECONDS, LeaseManager, LeaseRenewer
from valkeykit.queue.worker.prefetch import POLL_BLOCK_SECONDS, JobFetcher, PrefetchController
from valkeykit.queue.worker.worker_health import package_version

if TYPE_CHECKING:
    from valkeykit.queue.base import QueueBase
    from valkeykit.queue.job import Job
    from valkeykit.queue.worker.worker_health import Health
    from valkeykit.vocabulary import Interruption

RELEASE_GRACE_SECONDS = 3.0
"""Seconds after the shutdown timeout or a second signal in which unfinished jobs are released."""

MAX_LOOP_LAG_SECONDS = 1.0
"""Seconds that a handler may block the loop before that is logged."""


MAX_REPORTED_JOBS = 20
"""Jobs that a worker reports as running."""


class WorkerRun:
    """A worker from its start until all its jobs have ended or are released."""

    def __init__(
        self,
        queue: QueueBase,
        *,
        name: str,
        concurrency: int,
        lease: float,
        shutdown_timeout: float,
        listeners: Sequence[Listener],
        health: Health,
        guard: LeaseGuard | None,
        stopping: asyncio.Event,
        hurry: asyncio.Event,
    ) -> None:
        """Create the parts, each of which has one task and uses only the parts before it.

        Args:
            queue: Whose handlers run.
            name: The worker's name.
            concurrency: Jobs at once.
            lease: Seconds without a renewal after which another worker takes over a job.
            shutdown_timeout: Seconds that running jobs have to end after `stopping` is set.
            listeners: Called after each job.
            health: The worker's health.
            guard: The process that renews leases while this one can't.
            stopping: Set when the worker is to stop.
            hurry: Set when it is to release its jobs at once.
        """
        self._name = name
        self._concurrency = concurrency
        self._handlers = queue.handlers
        self._shutdown_timeout = shutdown_timeout
        self._health = health
        self._stopping = stopping
        self._hurry = hurry
        self._loop = asyncio.get_running_loop()
        read_timeout = max(queue.settings().read_timeout, POLL_BLOCK_SECONDS + 1)
        self._queue = AsyncQueue(
            queue.name,
            queue.source,
            retry_for=queue.retry_for,
            allow_eviction=queue.allow_eviction,
            max_result=queue.max_result,
            **(queue.options | {"read_timeout": read_timeout}),
        )
        self._has_finished = asyncio.Event()
        self._executor = JobExecutor(
            concurrency,
            self._on_finished,
            self._record_start,
            self._on_last_attempt,
            queue.max_result,
            tracing=queue.tracing,
        )
        self._leases = LeaseManager(self._queue, self._executor, name, lease, guard)
        self._prefetch = PrefetchController(concurrency)
        self._acknowledger = Acknowledger(
            queue=self._queue,
            outcomes=self._executor.outcomes,
            leases=self._leases,
            prefetch=self._prefetch,
            worker=name,
            listeners=listeners,
        )
        self._fetcher = JobFetcher(
            queue=self._queue,
            handlers=queue.handlers,
            executor=self._executor,
            leases=self._leases,
            prefetch=self._prefetch,
            worker=name,
            lease=lease,
            listeners=listeners,
        )
        self._started = time.time()
        self._renewal = LeaseRenewer(
            queue=Queue(
                queue.name,
                queue.source,
                retry_for=lease * RENEWAL_RETRY_FRACTION,
                allow_eviction=queue.allow_eviction,
                **queue.options,
            ),
            leased=self._leases.jobs,
            worker=name,
            lease=lease,
            describe=self._describe,
            interrupt=self._interrupt_soon,
            guard=guard,
        )
        health.watch(self._fetcher, self._renewal, lease, queue.retry_for)

    async def serve(self, *, burst: bool) -> None:
        """Work until `stopping` is set, or until no job is left."""
        self._health.start()
        try:
            if await self._begin():
                await self._work(burst=burst)
        finally:
            self._renewal.stop()
            self._executor.close()
            self._health.stop()
            await self._queue.close()

    async def _record_start(self, job: Job) -> bool:
        return await self._leases.record_start(job)

    def _on_last_attempt(self, job: Job) -> None:
        self._leases.mark_started(job)

    def _describe(self) -> dict[str, Any]:
        running, now = tuple(self._executor.running), time.monotonic()
        longest = heapq.nsmallest(MAX_REPORTED_JOBS, running, key=lambda job: job.started)
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "concurrency": self._concurrency,
            "running": len(running),
            "jobs": [(job.id, job.spec.name, round(now - job.started, 1)) for job in longest],
            "handlers": sorted(self._handlers)[:100],
            "version": package_version(),
        }

    async def _begin(self) -> bool:
        """Wait for the server; an unsupported one is an error. False if the worker was stopped meanwhile."""
        while not self._stopping.is_set():
            try:
                if await is_done_before(self._stopping.wait(), self._queue.check()):
                    self._renewal.start()
                    logger.info("queue %s: ready", self._queue.name)
                    return True
            except (LoginError, ConfigurationError):
                raise
            except Exception as error:  # noqa: BLE001  (a worker continues whatever it is)
                job_events.log_trouble(error, "queue %s: waiting for the server", self._queue.name)
                await is_done_before(self._stopping.wait(), asyncio.sleep(0.5))
        return False

    async def _work(self, *, burst: bool) -> None:
        helpers = [asyncio.create_task(job) for job in (self._acknowledge_forever(), self._check_forever())]
        taking = asyncio.create_task(self._fetcher.run(until_empty=burst))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({taking, stopped, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for work in (taking, *helpers):
                if work.done():
                    await work  # raises what ended it
            await self._fetcher.wait_for_take(POLL_BLOCK_SECONDS)
            await cancelled(taking)
            reason: object = "the server does not respond"
            try:
                if await is_done_before(self._last_moment(), self._wind_down()):
                    return
            except ValkeykitError as error:
                reason = error
            logger.warning("queue %s: jobs can't be released, so their leases expire: %s", self._queue.name, reason)
        finally:
            for task in (taking, stopped, *helpers):
                await cancelled(task)

    async def _last_moment(self) -> None:
        """Wait until it is too late to give jobs back."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._shutdown_timeout)
        await asyncio.sleep(RELEASE_GRACE_SECONDS)

    async def _wind_down(self) -> None:
        end = time.monotonic() + self._shutdown_timeout
        self._executor.withdraw()
        await self._leases.release([job for job in self._leases.jobs() if not job.started and not job.over])
        await self._fetcher.release_unanswered()
        while self._executor.busy and time.monotonic() < end and not self._hurry.is_set():
            await asyncio.sleep(0.02)
        rest = tuple(self._executor.running)
        for job in rest:  # first, or one that ends while it is released would run twice
            self._executor.interrupt(job, "stopped")
        rest = tuple(job for job in rest if job.interrupt == "stopped" or not job.over)
        await self._leases.release(list(rest))
        if rest:
            logger.info("queue %s: %d running jobs were released", self._queue.name, len(rest))
        await self._acknowledger.flush()
        self._renewal.stop()
        await asyncio.to_thread(self._renewal.join, 1)
        await self._queue.send(self._queue.protocol.leave(self._name))

    def _on_finished(self) -> None:
        self._fetcher.capacity_changed.set()
        self._has_finished.set()

    async def _acknowledge_forever(self) -> None:
        while True:
            await self._has_finished.wait()
            self._has_finished.clear()
            await self._survive(self._acknowledger.flush, "can't report how jobs ended")
            self._fetcher.capacity_changed.set()

    async def _check_forever(self) -> None:
        due = time.monotonic() + CHECK_INTERVAL_SECONDS
        while True:
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            lag, due = time.monotonic() - due, time.monotonic() + CHECK_INTERVAL_SECONDS
            if lag > MAX_LOOP_LAG_SECONDS:
                names = ", ".join(sorted({job.spec.name for job in tuple(self._executor.running)})) or "no job"
                text = "queue %s: the event loop was blocked for %.1f s; running now: %s -> use def, or process=True"
                logger.warning(text, self._queue.name, lag, names)
            if not self._leases.is_empty:
                await self._survive(self._leases.check_running, "can't check the running jobs")
            if self._leases.is_stalled():
                self._prefetch.reset()
                with contextlib.suppress(ValkeykitError):  # their leases end, then
                    await self._leases.release(self._executor.withdraw())

    async def _survive(self, step: Callable[[], Coroutine[Any, Any, None]], text: str) -> None:
        """Log an exception of one step and continue."""
        try:
            await step()
        except UnsupportedServerError:
            raise
        except Exception as error:  # noqa: BLE001
            job_events.log_trouble(error, "queue %s: " + text, self._queue.name)
            await asyncio.sleep(0.5)

    def _interrupt_soon(self, jobs: list[Job], reason: Interruption) -> None:
        """Called from the thread that renews leases."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._interrupt, jobs, reason)

    def _interrupt(self, jobs: list[Job], reason: Interruption) -> None:
        """A job that was released and taken again meanwhile is another object."""
        for job in jobs:
            if self._leases.holds(job):
                self._executor.interrupt(job, reason)
