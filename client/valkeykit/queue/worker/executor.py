"""Execution: coroutines run in the loop, functions in threads or child processes, `concurrency` of them at once.

A task or a thread runs one waiting job after the other without going back to the loop for each, which makes short jobs
cheap. Each job has its own copy of the context.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from valkeykit.queue.events import logger
from valkeykit.queue.handlers import complete, exhaust
from valkeykit.queue.job import InvalidResultError, Job, call
from valkeykit.queue.options import MAX_RESULT_BYTES
from valkeykit.queue.outcomes import EncodedResult, Outcome, interruption_error
from valkeykit.queue.worker.event_loop import is_cancelling

if TYPE_CHECKING:
    from valkeykit.queue.processes.parent import HandlerProcess
    from valkeykit.vocabulary import Interruption

LOOP_SHARE_SECONDS = 0.005
"""Seconds that coroutines which never wait may keep the loop."""

INTERRUPT_GRACE_SECONDS = 5.0
"""Seconds in which an interrupted job must end before it is abandoned."""

THREAD_RETRY_SECONDS = 0.5
"""Seconds before a thread is tried again, where the system had none."""

RecordStart = Callable[[Job], Awaitable[bool]]
"""Called before a job's last attempt; False where it must not run, and is held no longer."""

OnLastAttempt = Callable[[Job], None]
"""Called right before the handler of a last attempt is, from any thread."""


class _Interrupt(BaseException):
    """Raised inside a function that is to end. Not an Exception, so that handlers don't catch it by accident."""


class JobExecutor:
    """Runs jobs. All methods but those of threads belong to the loop.

    on_finished: called in the loop, soon after jobs have ended; their outcomes are in `outcomes`.
    """

    def __init__(
        self,
        concurrency: int,
        on_finished: Callable[[], None],
        record_start: RecordStart | None = None,
        on_last_attempt: OnLastAttempt | None = None,
        max_result: int = MAX_RESULT_BYTES,
    ) -> None:
        self.concurrency = concurrency
        self.outcomes: deque[Outcome] = deque()
        self.busy = 0
        self.running: set[Job] = set()
        self._on_finished = on_finished
        self._record_start = record_start
        self._on_last_attempt = on_last_attempt or (lambda _: None)
        self._max_result = max_result
        self._context = copy_context()
        self._coroutines: deque[Job] = deque()
        self._functions: deque[Job] = deque()
        self._continued: deque[tuple[Job, Any, Context]] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_notified = False
        self._closed = False
        self._lock = threading.Lock()
        self._work: SimpleQueue[bool] = SimpleQueue()
        self._threads = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> int:
        """Jobs that wait to run."""
        return len(self._coroutines) + len(self._functions)

    @property
    def is_idle(self) -> bool:
        return self.busy == 0 and self.ready == 0 and not self._continued

    def submit(self, jobs: Iterable[Job]) -> None:
        """Run jobs as soon as one of those that run has ended. Each has a handler."""
        for job in jobs:
            assert job.handler is not None  # noqa: S101  (jobs without one are released)
            (self._coroutines if job.handler.is_async else self._functions).append(job)
        self._fill()

    def withdraw(self) -> list[Job]:
        """Take back what has not started."""
        with self._lock:
            jobs = [*self._coroutines, *self._functions]
            self._coroutines.clear()
            self._functions.clear()
        return jobs

    def interrupt(self, job: Job, reason: Interruption) -> None:
        """Make a running job end."""
        with self._lock:
            if job.over or job.interrupt is not None:
                return
            job.interrupt = reason
            job.interrupted_at = time.monotonic()
            if job.task is not None:
                job.task.cancel()
            elif job.kill is not None:
                job.kill()
            elif job.thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(job.thread), ctypes.py_object(_Interrupt))

    def abandon(self, job: Job) -> None:
        """Abandon a job that doesn't end: its thread or task may never return, so a new one replaces it."""
        is_function = job.task is None
        if self.finish(job, error=interruption_error(job), abandoned=True):
            self._threads -= is_function
            self.busy -= 1
            self._fill()

    def close(self) -> None:
        """Let the threads go; one that is stuck ends with the process."""
        self._closed = True
        for _ in range(self._threads):
            self._work.put(False)
        for task in self._tasks:
            task.cancel()

    def finish(
        self, job: Job, value: Any = None, error: BaseException | None = None, *, abandoned: bool = False
    ) -> bool:
        """Note how a job ended, once; from any thread. False where that was known already."""
        with self._lock:
            if job.over:
                return False
            job.is_abandoned = abandoned
            self.outcomes.append(Outcome(job, value, error))  # first, since an interrupt may come between
            job.over = True
        self.running.discard(job)
        self._notify_soon()
        return True

    def _notify_soon(self) -> None:
        if not self._is_notified:
            self._is_notified = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: a thread outlived its worker
                self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        self._is_notified = False
        self._on_finished()

    def _fill(self) -> None:
        if self._closed:
            return
        waiting = len(self._coroutines) + len(self._continued)
        for _ in range(min(self.concurrency - self.busy, waiting)):
            self.busy += 1
            task = self._loop.create_task(self._run_coroutines())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for _ in range(min(self.concurrency - self.busy, len(self._functions))):
            if self._threads < min(self.busy + 1, self.concurrency) and not self._add_thread() and not self._threads:
                break
            self.busy += 1
            self._work.put(True)

    def _add_thread(self) -> bool:
        """False where the system has no more threads: then those that there are do the work, or it is tried again."""
        try:
            threading.Thread(target=self._thread, name="valkeykit-job", daemon=True).start()
        except RuntimeError as problem:
            logger.warning("no thread for jobs: %s", problem)
            self._loop.call_later(THREAD_RETRY_SECONDS, self._fill)
            return False
        self._threads += 1
        return True

    def _free(self) -> None:
        self.busy -= 1
        self._fill()
        self._on_finished()

    # coroutines

    async def _run_coroutines(self) -> None:
        """Run one job after the other in a task. The task ends when a job was abandoned, or left it cancelled."""
        share_ends = time.monotonic() + LOOP_SHARE_SECONDS
        task = asyncio.current_task()
        keeps_running = True
        try:
            while keeps_running and (self._coroutines or self._continued):
                job, *rest = self._continued.popleft() if self._continued else (self._coroutines.popleft(),)
                job.task = task
                keeps_running = await self._run_coroutine(job, *rest)
                if is_cancelling(task):
                    return
                if time.monotonic() > share_ends:
                    await asyncio.sleep(0)
                    share_ends = time.monotonic() + LOOP_SHARE_SECONDS
        finally:
            if keeps_running:
                self._free()

    async def _run_coroutine(self, job: Job, awaitable: Any = None, context: Context | None = None) -> bool:
        """Run a job, or the rest of one that a function began. False where it was abandoned meanwhile."""
        if context is None:
            self._begin(job)
        if job.interrupt is not None:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            return self.finish(job, error=interruption_error(job))
        try:
            if context is None:
                if job.attempt >= job.spec.attempts:
                    if not await self._may_run(job):
                        return True
                    self._on_last_attempt(job)
                context = self._context.copy()
                awaitable = context.run(call, job)
            value = await complete(awaitable, context)
        except asyncio.CancelledError as error:
            if self._closed:
                raise
            return self._end_cancelled(job, error)
        except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
            return self.finish(job, error=error)
        return self.finish(job, value)

    def _end_cancelled(self, job: Job, error: asyncio.CancelledError) -> bool:
        """An error that the handler itself let out, a cancelled task that it awaited for example, fails the job."""
        if job.interrupt is not None and sys.version_info >= (3, 11) and job.task is not None:
            job.task.uncancel()
        return self.finish(job, error=interruption_error(job, error))

    async def _may_run(self, job: Job) -> bool:
        job.called = 0.0  # the time-out doesn't count until the server has answered
        if self._record_start is None or await self._record_start(job):
            job.called = time.monotonic()
            return True
        self._disown(job)
        return False

    def _disown(self, job: Job) -> None:
        """Forget a job that must not run here."""
        with self._lock:
            job.over = True
        self.running.discard(job)
        self._notify_soon()

    # functions

    def _thread(self) -> None:
        process: HandlerProcess | None = None
        keeps_running = True
        try:
            while keeps_running and self._work.get():
                while keeps_running and (job := self._next_function()) is not None:
                    assert job.handler is not None  # noqa: S101  (`submit` has checked it)
                    if job.handler.process:
                        process = process or _new_process()
                        keeps_running = self._run_in_process(job, process)
                    else:
                        keeps_running = self._run_function(job)
                if keeps_running:
                    self._loop.call_soon_threadsafe(self._free)
        except RuntimeError:
            if not self._closed:  # else the loop is closed: the thread outlived its worker
                raise
        finally:
            if process is not None:
                process.close()

    def _next_function(self) -> Job | None:
        """The lock leaves no moment in which a job neither waits nor runs: it would be released and run."""
        with self._lock:
            if not self._functions:
                return None
            job = self._functions.popleft()
            self._begin(job)
            return job

    def _run_function(self, job: Job) -> bool:
        """Run a job. False where it was abandoned meanwhile, and its thread is replaced."""
        try:
            if not self._may_run_function(job):
                return True
            context = self._context.copy()
            self._allow_interrupt(job)
            try:
                value = context.run(call, job)
                if value is not None and inspect.isgenerator(value):
                    value = context.run(exhaust, value)
                if value is not None and (inspect.isawaitable(value) or inspect.isasyncgen(value)):
                    return self._continue_in_loop(job, value, context)
            except _Interrupt:
                raise
            except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
                return self.finish(job, error=error)
            return self.finish(job, value)
        except _Interrupt as error:  # it may come a moment after the function has ended
            return self.finish(job, error=interruption_error(job, error)) or not job.is_abandoned

    def _run_in_process(self, job: Job, process: HandlerProcess) -> bool:
        assert job.handler is not None  # noqa: S101  (`submit` has checked it)
        try:
            if not self._may_run_function(job):
                return True
            job.kill = process.kill
            text = process.run(
                job.handler.function, job.arguments, job_id=job.id, attempt=job.attempt,
                report_progress=job.progress, is_cancelled=lambda: job.is_interrupted,
                is_last_attempt=job.is_last_attempt, max_result=self._max_result if job.spec.result_ttl else None,
            )  # fmt: skip
        except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
            if getattr(error, "kind", "") == InvalidResultError.__name__:
                error = InvalidResultError(str(error).partition(": ")[2])
            return self.finish(job, error=interruption_error(job, error))
        finally:
            with self._lock:
                job.kill = None
        return self.finish(job, None if text is None else EncodedResult(text))

    def _may_run_function(self, job: Job) -> bool:
        if job.attempt < job.spec.attempts or self._record_start is None:
            return True
        may_run = asyncio.run_coroutine_threadsafe(self._may_run(job), self._loop).result()
        if may_run:
            self._on_last_attempt(job)
        return may_run

    def _continue_in_loop(self, job: Job, awaitable: Any, context: Context) -> bool:
        """A function returned something that must be awaited: its job continues in the loop, and its thread is free."""
        with self._lock:
            job.thread = None
        self._loop.call_soon_threadsafe(self._take_over, job, awaitable, context)
        return True

    def _take_over(self, job: Job, awaitable: Any, context: Context) -> None:
        self._continued.append((job, awaitable, context))
        self._fill()

    def _allow_interrupt(self, job: Job) -> None:
        """From here on an interrupt reaches this thread; one that came before is found here."""
        with self._lock:
            if job.interrupt is not None:
                raise _Interrupt
            job.thread = threading.get_ident()

    def _begin(self, job: Job) -> None:
        job.started = job.called = time.monotonic()
        self.running.add(job)


def _new_process() -> HandlerProcess:
    from valkeykit.queue.processes.parent import HandlerProcess

    return HandlerProcess()
