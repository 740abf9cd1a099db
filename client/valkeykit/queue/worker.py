"""A worker: takes jobs, runs them, and tells the server how they ended, each in batches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Sequence
from typing import Any

from valkeykit.causes import FOREIGN
from valkeykit.errors import ConfigurationError, InvalidJobError, LoginError, UnsupportedServerError, ValkeykitError
from valkeykit.queue import events
from valkeykit.queue.answers import Assignment, DueRepeat
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.base import QueueBase
from valkeykit.queue.events import Listener, logger
from valkeykit.queue.job import CorruptJobError, Job, unpack
from valkeykit.queue.keeper import TICK, Keeper
from valkeykit.queue.local import no_server
from valkeykit.queue.options import Spec
from valkeykit.queue.pace import Pace
from valkeykit.queue.reporter import Reporter
from valkeykit.queue.slots import Slots

LEASE = 30.0
"""Seconds after which a job whose worker is silent goes to another."""

DRAIN = 25.0
"""Seconds that running jobs have to end after SIGTERM; orchestrators kill after 30."""

BLOCK = 2.0
"""Seconds that an idle worker waits in one command: it sends one command a second."""

LAST_WORDS = 3.0
"""Seconds beyond the drain time in which the server is told; one that is gone must not keep the worker."""

CONCURRENCY = 10
"""Jobs at once, where neither the argument nor JOB_CONCURRENCY says."""


class Worker:
    """Runs the jobs of a queue.

    queue: whose handlers run, a Queue or an AsyncQueue.
    concurrency: jobs at once; None for JOB_CONCURRENCY, else 10.
    lease: seconds after which a job whose worker is silent is taken over.
    drain: seconds that running jobs have to end when the worker is stopped; the rest goes back.
    listeners: called after each job (valkeykit.queue.events).

    Raises:
        ConfigurationError: a number can't be used, the queue has no handler, or USE_VALKEY_QUEUE is off.
    """

    def __init__(
        self,
        queue: QueueBase,
        *,
        concurrency: int | None = None,
        lease: float = LEASE,
        drain: float = DRAIN,
        listeners: Sequence[Listener] = (),
    ) -> None:
        if queue.local is not None:
            raise no_server()
        if not queue.handlers:
            raise ConfigurationError(f"the queue {queue.name} has no handler", fix="@queue.handler on a function")
        if lease < 1 or drain < 0:
            raise ConfigurationError(f"lease is {lease!r} and drain {drain!r}", fix="lease=30, drain=25 (seconds)")
        self.concurrency = _concurrency(concurrency)
        self.name = secrets.token_urlsafe(8)
        self.last_take = 0.0
        """When the server last answered a take, by time.monotonic(): what liveness means."""
        self._definition = queue
        self._lease = lease
        self._drain = drain
        self._listeners = (events.log, *listeners)
        self._stopping: asyncio.Event | None = None

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish what runs and give back the rest.

        Raises:
            UnsupportedServerError: the server doesn't suit a queue.
            LoginError: it refused the login.
        """
        asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self.serve()

    def stop(self) -> None:
        """Stop taking jobs; `serve` then ends within the drain time. It may be called from any thread."""
        if self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def serve(self) -> None:
        """Work until `stop` is called. Raises as `run`."""
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        settings = self._definition.settings()
        self._queue = AsyncQueue(
            self._definition.name,
            self._definition.source,
            allow_eviction=self._definition.allow_eviction,
            retry_for=self._definition.retry_for,
            **(self._definition.options | {"read_timeout": max(settings.read_timeout, BLOCK + 1)}),
        )
        self._changed = asyncio.Event()
        self._reported = asyncio.Event()
        self._slots = Slots(self.concurrency, self._on_ended)
        self._keeper = Keeper(self._queue, self._slots, self.name, self._lease)
        self._pace = Pace(self.concurrency)
        self._reporter = Reporter(
            queue=self._queue,
            slots=self._slots,
            keeper=self._keeper,
            pace=self._pace,
            worker=self.name,
            listeners=self._listeners,
        )
        self._taking = asyncio.Lock()
        try:
            await self._start()
            await self._work()
        finally:
            self._slots.close()
            await self._queue.close()

    async def _start(self) -> None:
        """A server that can't be reached yet is waited for; one that doesn't suit is an error."""
        assert self._stopping is not None  # noqa: S101
        while not self._stopping.is_set():
            try:
                await self._queue.check()
            except (LoginError, ConfigurationError):
                raise
            except ValkeykitError as error:
                logger.warning("queue %s: waiting for the server: %s", self._queue.name, error)
            else:
                return

    async def _work(self) -> None:
        assert self._stopping is not None  # noqa: S101
        helpers = [asyncio.create_task(job) for job in (self._report_forever(), self._keep_forever())]
        taking = asyncio.create_task(self._take_forever())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({taking, stopped, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for work in (taking, *helpers):
                if work.done():
                    await work  # raises what ended it
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._taking.acquire(), BLOCK)
            await _cancelled(taking)
            try:
                await asyncio.wait_for(self._wind_down(), self._drain + LAST_WORDS)
            except (ValkeykitError, asyncio.TimeoutError) as error:
                logger.warning("queue %s: jobs can't be given back, their leases end: %r", self._queue.name, error)
        finally:
            for task in (taking, stopped, *helpers):
                await _cancelled(task)

    async def _wind_down(self) -> None:
        end = time.monotonic() + self._drain
        self._slots.withdraw()
        await self._keeper.give_back([job for job in self._keeper.held.values() if not job.started and not job.over])
        while self._slots.busy and time.monotonic() < end:
            await asyncio.sleep(0.02)
        rest = [job for job in tuple(self._slots.running) if not job.over]
        await self._keeper.give_back(rest)
        for job in rest:
            self._slots.interrupt(job, "lost")
        await self._reporter.report()

    # taking

    async def _take_forever(self) -> None:
        while True:
            room = self._pace.room(self._slots.ready, self._slots.busy)
            if room <= 0:
                await self._something_changed()
                continue
            try:
                assignment, jobs = await self._take(room)
                if assignment.repeats_due:
                    await self._fire_repeats()
                await self._hand_out(assignment, jobs)
            except (LoginError, UnsupportedServerError):
                raise
            except ValkeykitError as error:
                logger.warning("queue %s: can't take jobs: %s", self._queue.name, error)
                await asyncio.sleep(0.5)

    async def _take(self, room: int) -> tuple[Assignment, list[Job]]:
        """The lock keeps `stop` from ending it half-way: jobs that nobody knows of would wait for their lease's end."""
        async with self._taking:
            call = self._queue.calls.take(self.name, room, round(self._lease * 1000))
            assignment = await self._queue.send(call)
            self.last_take = time.monotonic()
            return assignment, self._unpack(assignment)

    async def _hand_out(self, assignment: Assignment, jobs: list[Job]) -> None:
        if assignment.alone:
            await self._until_idle()
        self._pace.begin(idle=self._slots.is_idle)
        self._slots.offer(jobs)
        if assignment.alone:
            await self._until_idle()
        elif not jobs and assignment.next_event != 0:
            await self._wait_for_work(assignment.next_event)

    def _unpack(self, assignment: Assignment) -> list[Job]:
        jobs = []
        for key, attempt, record in assignment.jobs:
            try:
                jobs.append(unpack(key, attempt, record, self._definition.handlers))
            except CorruptJobError as error:
                corrupt = Job(key, attempt, Spec("?"), b"", None)
                self._keeper.hold([corrupt])
                self._slots.end(corrupt, error=error)
        self._keeper.hold(jobs)
        return jobs

    async def _wait_for_work(self, next_event: int) -> None:
        """Until a job is added, or until one is due. Several idle workers are woken one by one."""
        seconds = BLOCK if next_event < 0 else max(0.001, min(BLOCK, next_event / 1000))
        with contextlib.suppress(*FOREIGN):  # the take that follows finds out what is wrong
            await self._queue.wait_for_wake(seconds)

    async def _fire_repeats(self) -> None:
        """Errors stay here, since jobs that were taken in the same breath have yet to be handed out."""
        try:
            for due in await self._queue.send(self._queue.calls.repeats_due()):
                await self._fire(due)
        except ValkeykitError as error:
            logger.warning("queue %s: repeats can't be added: %s", self._queue.name, error)
            await asyncio.sleep(0.5)

    async def _fire(self, due: DueRepeat) -> None:
        try:
            call = self._queue.calls.fire(due)
        except InvalidJobError as error:
            logger.error("queue %s: the repeat %s is removed: %s", self._queue.name, due.name, error)
            await self._queue.send(self._queue.calls.stop_repeating(due.name))
        else:
            await self._queue.send(call)

    async def _until_idle(self) -> None:
        while not self._slots.is_idle:
            await self._something_changed()

    async def _something_changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    # telling

    def _on_ended(self) -> None:
        self._changed.set()
        self._reported.set()

    async def _report_forever(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            await self._reporter.report()
            self._changed.set()

    async def _keep_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._keeper.held:
                await self._keeper.tick()
            if self._keeper.stalled():
                self._pace.reset()
                with contextlib.suppress(ValkeykitError):  # their leases end, then
                    await self._keeper.give_back(self._slots.withdraw())


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """End a task. It is asked again, since redis-py sometimes swallows the first cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("a task ended with %r", error)


def _concurrency(given: int | None) -> int:
    value = given if given is not None else os.environ.get("JOB_CONCURRENCY", "").strip() or CONCURRENCY
    try:
        number = int(value)
    except ValueError:
        number = 0
    if not 1 <= number <= 1000:
        raise ConfigurationError(f"JOB_CONCURRENCY is {value!r}, not from 1 to 1000", fix="JOB_CONCURRENCY=10")
    return number
