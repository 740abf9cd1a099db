"""A worker: takes jobs, runs them, and reports to the server how they ended, each in batches."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from valkeykit.errors import ConfigurationError, LoginError, UnsupportedServerError, ValkeykitError
from valkeykit.queue import events
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.events import Listener, logger
from valkeykit.queue.job import Job
from valkeykit.queue.options import shown
from valkeykit.queue.processes.references import check_not_importing
from valkeykit.queue.queue import Queue
from valkeykit.queue.worker.acks import Acknowledger
from valkeykit.queue.worker.event_loop import cancelled, is_done_before, run_to_end
from valkeykit.queue.worker.executor import JobExecutor
from valkeykit.queue.worker.health import Health, package_version
from valkeykit.queue.worker.lease_guard import LeaseGuard
from valkeykit.queue.worker.leases import CHECK_INTERVAL_SECONDS, LeaseManager, LeaseRenewer
from valkeykit.queue.worker.prefetch import POLL_BLOCK_SECONDS, JobFetcher, PrefetchController
from valkeykit.vocabulary import Interruption

LEASE_SECONDS = 30.0
"""Seconds without a renewal after which a job goes to another worker."""

SHUTDOWN_TIMEOUT_SECONDS = 25.0
"""Seconds that running jobs have to end after SIGTERM; orchestrators kill after 30."""

RELEASE_GRACE_SECONDS = 3.0
"""Seconds after the shutdown timeout or a second signal in which unfinished jobs are released."""

DEFAULT_CONCURRENCY = 10
"""Jobs at once, where neither the argument nor JOB_CONCURRENCY says."""

MAX_LOOP_LAG_SECONDS = 1.0
"""Seconds that a handler may block the loop before that is logged."""


class Worker:
    """Runs the jobs of a queue."""

    def __init__(
        self,
        queue: QueueBase,
        *,
        concurrency: int | None = None,
        lease: float = LEASE_SECONDS,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT_SECONDS,
        listeners: Sequence[Listener] = (),
        heartbeat: Path | str | None = None,
        health_port: int | None = None,
    ) -> None:
        """Check the arguments; nothing is sent.

        Args:
            queue: A Queue or an AsyncQueue, whose handlers run.
            concurrency: Jobs at once; None for JOB_CONCURRENCY, else 10.
            lease: Seconds without a renewal after which another worker takes over a job.
            shutdown_timeout: Seconds that running jobs have to end when the worker is stopped; the rest is released.
            listeners: Called with an Event after each job.
            heartbeat: A file with the worker's state, for `valkeykit worker --check`.
            health_port: A port that serves GET /live and GET /ready.

        Raises:
            ConfigurationError: A number can't be used, the queue has no handler, or USE_VALKEY_QUEUE is off.

        Example:
            >>> Worker(queue, concurrency=20).run()
        """
        if not isinstance(queue, QueueBase):
            raise ConfigurationError(f"{shown(queue)} is not a queue", fix="Worker(Queue(…))")
        if queue.eager is not None:
            raise no_server()
        if not queue.handlers:
            raise ConfigurationError(f"the queue {queue.name} has no handler", fix="@queue.handler on a function")
        if not (_is_seconds(lease, least=1) and _is_seconds(shutdown_timeout, least=0)):
            raise ConfigurationError(
                f"lease is {shown(lease)} and shutdown_timeout is {shown(shutdown_timeout)}, "
                "expected seconds up to a day, lease from 1",
                fix="lease=30, shutdown_timeout=25 (seconds)",
            )
        self.concurrency = _concurrency(concurrency)
        self.name = secrets.token_urlsafe(8)
        self._definition = queue
        self._lease = lease
        self._shutdown_timeout = shutdown_timeout
        self._listeners = (events.log, *_checked(listeners))
        self._health = Health(queue.name, heartbeat, health_port)
        self._stopping: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._guard: LeaseGuard | None = None
        self._is_stopped = False
        self._is_serving = False

    @property
    def last_contact(self) -> float:
        """When the server last responded to this worker, by time.monotonic(); 0 before the first time."""
        return self._health.last_contact

    @property
    def is_live(self) -> bool:
        """Whether the worker runs or tries to; for liveness probes."""
        return self._health.is_live

    def run(self, *, burst: bool = False) -> None:
        """Work until SIGTERM or SIGINT, then finish running jobs and release the rest; at once after a second signal.

        In a thread other than the main one signals have no effect; `stop` ends the worker.

        Args:
            burst: Return when no job waits and none runs.

        Raises:
            UnsupportedServerError: The server doesn't suit a queue.
            LoginError: The server rejected the login when the worker started.
            ConfigurationError: The worker is running already, or this thread runs an event loop.
        """
        if asyncio._get_running_loop() is not None:
            raise ConfigurationError("an event loop is already running in this thread", fix="await worker.serve()")
        self._guard = LeaseGuard.fork(self._definition, self.name, self._lease)
        try:
            run_to_end(self._run_with_signals(burst=burst))
        finally:
            if self._guard is not None:
                self._guard.close()
                self._guard = None

    async def _run_with_signals(self, *, burst: bool) -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        await self.serve(burst=burst)

    def stop(self) -> None:
        """Stop taking jobs; `serve` then ends within the shutdown timeout. Called again, it ends immediately.

        It may be called from any thread, and before `serve`, which then does nothing.
        """
        first, self._is_stopped = not self._is_stopped, True
        event = self._stopping if first else self._hurry
        if event is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                self._loop.call_soon_threadsafe(event.set)

    async def serve(self, *, burst: bool = False) -> None:
        """Work until `stop` is called, in a running event loop. Errors are those of `run`.

        Args:
            burst: Return when no job waits and none runs.
        """
        check_not_importing()
        if self._is_serving:
            raise ConfigurationError("this worker is already running", fix="create another Worker")
        self._is_serving = True
        try:
            self._loop = asyncio.get_running_loop()
            self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
            if not self._is_stopped:
                await self._serve(burst=burst)
        finally:
            self._is_serving = self._is_stopped = False

    async def _serve(self, *, burst: bool) -> None:
        self._assemble()
        self._health.start()
        try:
            if await self._begin():
                await self._work(burst=burst)
        finally:
            self._renewal.stop()
            self._executor.close()
            self._health.stop()
            await self._queue.close()

    def _assemble(self) -> None:
        """The parts, each of which has one task and uses only the parts before it."""
        definition = self._definition
        read_timeout = max(definition.settings().read_timeout, POLL_BLOCK_SECONDS + 1)
        self._queue = AsyncQueue(
            definition.name,
            definition.source,
            retry_for=definition.retry_for,
            allow_eviction=definition.allow_eviction,
            max_result=definition.max_result,
            **(definition.options | {"read_timeout": read_timeout}),
        )
        self._has_finished = asyncio.Event()
        self._executor = JobExecutor(
            self.concurrency, self._on_finished, self._record_start, self._on_last_attempt, definition.max_result
        )
        self._leases = LeaseManager(self._queue, self._executor, self.name, self._lease, self._guard)
        self._prefetch = PrefetchController(self.concurrency)
        self._acknowledger = Acknowledger(
            queue=self._queue,
            outcomes=self._executor.outcomes,
            leases=self._leases,
            prefetch=self._prefetch,
            worker=self.name,
            listeners=self._listeners,
        )
        self._fetcher = JobFetcher(
            queue=self._queue,
            handlers=definition.handlers,
            executor=self._executor,
            leases=self._leases,
            prefetch=self._prefetch,
            worker=self.name,
            lease=self._lease,
            listeners=self._listeners,
        )
        self._started = time.time()
        self._renewal = LeaseRenewer(
            queue=Queue(
                definition.name,
                definition.source,
                retry_for=self._lease / 3,
                allow_eviction=definition.allow_eviction,
                **definition.options,
            ),
            leased=self._leases.jobs,
            worker=self.name,
            lease=self._lease,
            describe=self._describe,
            interrupt=self._interrupt_soon,
            guard=self._guard,
        )
        self._health.watch(self._fetcher, self._renewal, self._lease, definition.retry_for)

    async def _record_start(self, job: Job) -> bool:
        return await self._leases.record_start(job)

    def _on_last_attempt(self, job: Job) -> None:
        self._leases.mark_started(job)

    def _describe(self) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "concurrency": self.concurrency,
            "running": len(self._executor.running),
            "handlers": sorted(self._definition.handlers)[:100],
            "version": package_version(),
        }

    async def _begin(self) -> bool:
        """Wait for the server; an unsupported one is an error. False where the worker was stopped meanwhile."""
        assert self._stopping is not None  # noqa: S101
        while not self._stopping.is_set():
            try:
                if await is_done_before(self._stopping.wait(), self._queue.check()):
                    self._renewal.start()
                    return True
            except (LoginError, ConfigurationError):
                raise
            except Exception as error:  # noqa: BLE001  (a worker continues whatever it is)
                events.log_trouble(error, "queue %s: waiting for the server", self._queue.name)
                await is_done_before(self._stopping.wait(), asyncio.sleep(0.5))
        return False

    async def _work(self, *, burst: bool) -> None:
        assert self._stopping is not None  # noqa: S101
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
            logger.warning("queue %s: jobs can't be given back, so their leases expire: %s", self._queue.name, reason)
        finally:
            for task in (taking, stopped, *helpers):
                await cancelled(task)

    async def _last_moment(self) -> None:
        """Wait until it is too late to give jobs back."""
        assert self._hurry is not None  # noqa: S101
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._shutdown_timeout)
        await asyncio.sleep(RELEASE_GRACE_SECONDS)

    async def _wind_down(self) -> None:
        assert self._hurry is not None  # noqa: S101
        end = time.monotonic() + self._shutdown_timeout
        self._executor.withdraw()
        await self._leases.release([job for job in self._leases.jobs() if not job.started and not job.over])
        await self._fetcher.release_unanswered()
        while self._executor.busy and time.monotonic() < end and not self._hurry.is_set():
            await asyncio.sleep(0.02)
        rest = tuple(self._executor.running)
        for job in rest:  # first, or one that ends while it is given back would run twice
            self._executor.interrupt(job, "stopped")
        rest = tuple(job for job in rest if job.interrupt == "stopped" or not job.over)
        await self._leases.release(list(rest))
        if rest:
            logger.info("queue %s: %d running jobs were given back", self._queue.name, len(rest))
        await self._acknowledger.flush()
        self._renewal.stop()
        await asyncio.to_thread(self._renewal.join, 1)
        await self._queue.send(self._queue.protocol.leave(self.name))

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
        """A worker continues whatever happens in one step."""
        try:
            await step()
        except UnsupportedServerError:
            raise
        except Exception as error:  # noqa: BLE001
            events.log_trouble(error, "queue %s: " + text, self._queue.name)
            await asyncio.sleep(0.5)

    def _interrupt_soon(self, jobs: list[Job], reason: Interruption) -> None:
        """Called from the thread that renews leases."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._interrupt, jobs, reason)

    def _interrupt(self, jobs: list[Job], reason: Interruption) -> None:
        """A job that was given back and taken again meanwhile is another object."""
        for job in jobs:
            if self._leases.holds(job):
                self._executor.interrupt(job, reason)


def _is_seconds(value: object, *, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= 86_400


def _checked(listeners: Sequence[Listener]) -> Sequence[Listener]:
    if not isinstance(listeners, Sequence) or not all(map(callable, listeners)):
        raise ConfigurationError(f"listeners is {shown(listeners)}, not a list of functions", fix="listeners=[note]")
    if any(map(inspect.iscoroutinefunction, listeners)):
        raise ConfigurationError("a listener is a coroutine function, which nothing awaits", fix="use a function")
    return listeners


def _concurrency(given: int | None) -> int:
    value = given if given is not None else os.environ.get("JOB_CONCURRENCY", "").strip() or DEFAULT_CONCURRENCY
    what = "JOB_CONCURRENCY" if given is None else "concurrency"
    try:
        number = 0 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= 1000:
        raise ConfigurationError(f"{what} is {shown(value)}, not a whole number from 1 to 1000", fix=f"{what}=10")
    return number
