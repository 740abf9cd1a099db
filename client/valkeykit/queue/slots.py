"""Where jobs run: coroutines in the loop, functions in threads, `concurrency` of both at once.

A slot works off what is ready without going back to the loop for each job, which is
what makes short jobs cheap.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

from valkeykit.errors import CancelledJobError, JobTimeoutError, TimedOutError
from valkeykit.queue.job import CorruptJobError, Job, enter
from valkeykit.queue.outcomes import Outcome

LOOP_SHARE = 0.005
"""Seconds that coroutines which never wait may keep the loop."""

GRACE = 5.0
"""Seconds in which an interrupted function must end before its thread is given up."""


class _Interrupt(BaseException):
    """Raised inside a function that is to end. Not an Exception, so that handlers don't catch it by accident."""


class Slots:
    """Runs jobs. All methods but those of threads belong to the loop.

    ended: called in the loop, soon after jobs have ended; their outcomes are in `outcomes`.
    """

    def __init__(self, concurrency: int, ended: Callable[[], None]) -> None:
        self.concurrency = concurrency
        self.outcomes: deque[Outcome] = deque()
        self.busy = 0
        self.running: set[Job] = set()
        self._ended = ended
        self._coroutines: deque[Job] = deque()
        self._functions: deque[Job] = deque()
        self._loop = asyncio.get_running_loop()
        self._told = False
        self._lock = threading.Lock()
        self._go: SimpleQueue[bool] = SimpleQueue()
        self._threads = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> int:
        """Jobs that wait for a slot."""
        return len(self._coroutines) + len(self._functions)

    @property
    def is_idle(self) -> bool:
        return self.busy == 0 and self.ready == 0

    def offer(self, jobs: Iterable[Job]) -> None:
        """Run jobs as soon as there is a slot."""
        for job in jobs:
            if job.handler is None:
                self.end(job, error=LookupError(f"no handler for {job.spec.name!r} in this worker"))
            else:
                (self._coroutines if job.handler.is_async else self._functions).append(job)
        self._fill()

    def withdraw(self) -> list[Job]:
        """Take back what has not started."""
        with self._lock:
            jobs = [*self._coroutines, *self._functions]
            self._coroutines.clear()
            self._functions.clear()
        return jobs

    def interrupt(self, job: Job, reason: str) -> None:
        """Make a running job end: lost, cancelled or timeout."""
        with self._lock:
            if job.over or job.interrupt is not None:
                return
            job.interrupt = reason
            if job.task is not None:
                job.task.cancel()
            elif job.thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(job.thread), ctypes.py_object(_Interrupt))

    def abandon(self, job: Job) -> None:
        """Give up a function that doesn't end; its thread may never come back, so another takes its place."""
        if self.end(job, error=_interruption(job)):
            self._threads -= 1
            self.busy -= 1
            self._fill()

    def close(self) -> None:
        """Let the threads go; one that is stuck ends with the process."""
        for _ in range(self._threads):
            self._go.put(False)
        for task in self._tasks:
            task.cancel()

    def end(self, job: Job, value: Any = None, error: BaseException | None = None) -> bool:
        """Note how a job ended, once; from any thread. False where that was known already."""
        with self._lock:
            if job.over:
                return False
            self.outcomes.append(Outcome(job, value, error))  # first, since an interrupt may come between
            job.over = True
        self.running.discard(job)
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._tell)
        return True

    def _tell(self) -> None:
        self._told = False
        self._ended()

    def _fill(self) -> None:
        for _ in range(min(self.concurrency - self.busy, len(self._coroutines))):
            self.busy += 1
            task = self._loop.create_task(self._work_off_coroutines())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for _ in range(min(self.concurrency - self.busy, len(self._functions))):
            self.busy += 1
            self._go.put(True)
            if self._threads < self.busy and self._threads < self.concurrency:
                self._threads += 1
                threading.Thread(target=self._thread, name="valkeykit-job", daemon=True).start()

    def _free(self) -> None:
        self.busy -= 1
        self._fill()
        self._ended()

    async def _work_off_coroutines(self) -> None:
        share_ends = time.monotonic() + LOOP_SHARE
        try:
            while self._coroutines:
                await self._run_coroutine(self._coroutines.popleft())
                if time.monotonic() > share_ends:
                    await asyncio.sleep(0)
                    share_ends = time.monotonic() + LOOP_SHARE
        finally:
            self._free()

    async def _run_coroutine(self, job: Job) -> None:
        self._begin(job)
        if job.interrupt is not None:
            self.end(job, error=_interruption(job))
            return
        job.task = task = asyncio.current_task()
        enter(job)
        try:
            assert job.handler is not None  # noqa: S101  (`offer` has checked it)
            value = await job.handler.function(**job.arguments)
        except asyncio.CancelledError as error:
            if job.interrupt is None:
                raise  # the worker itself is cancelled
            if sys.version_info >= (3, 11) and task is not None:
                task.uncancel()
            self.end(job, error=_interruption(job, error))
        except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
            self.end(job, error=error)
        else:
            self.end(job, value)

    def _thread(self) -> None:
        while self._go.get():
            while (job := self._next_function()) is not None:
                if not self._run_function(job):
                    return  # given up, and replaced
            self._loop.call_soon_threadsafe(self._free)

    def _next_function(self) -> Job | None:
        """The lock leaves no moment in which a job is neither in the line nor begun: it would be given back and run."""
        with self._lock:
            if not self._functions:
                return None
            job = self._functions.popleft()
            self._begin(job)
            return job

    def _run_function(self, job: Job) -> bool:
        enter(job)
        try:
            self._let_interrupt(job)
            assert job.handler is not None  # noqa: S101  (`offer` has checked it)
            try:
                value = job.handler.function(**job.arguments)
            except _Interrupt:
                raise
            except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
                return self.end(job, error=error)
            return self.end(job, value)
        except _Interrupt as error:  # it may come a moment after the function has ended
            return self.end(job, error=_interruption(job, error)) or job.over

    def _let_interrupt(self, job: Job) -> None:
        """From here on an interrupt reaches this thread; one that came before is found here."""
        with self._lock:
            if job.interrupt is not None:
                raise _Interrupt
            job.thread = threading.get_ident()

    def _begin(self, job: Job) -> None:
        job.started = time.monotonic()
        self.running.add(job)


def _interruption(job: Job, cause: BaseException | None = None) -> BaseException:
    """Why a job was made to end, as its error."""
    if job.interrupt == "timeout":
        return JobTimeoutError(f"it ran longer than {job.spec.timeout / 1000:g} s")
    if job.interrupt == "cancelled":
        return CancelledJobError("it was cancelled while it ran")
    if job.interrupt == "lost":
        return TimedOutError("the lease ended, and another worker may have the job")
    return cause or CorruptJobError("it ended without a reason")
