"""Execution: coroutines run in the loop, functions in threads or child processes, `concurrency` of them at once.

A task or a thread runs one waiting job after the other without going back to the loop for each, which makes short jobs
cheap. Each job has its own copy of the context.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from valkeykit.queue.handlers import complete, exhaust
from valkeykit.queue.job import InvalidResultError, Job, call
from valkeykit.queue.job_events import logger
from valkeykit.queue.job_options import MAX_RESULT_BYTES
from valkeykit.queue.outcomes import EncodedResult, interruption_error
from valkeykit.queue.worker.event_loop import is_cancelling
from valkeykit.queue.worker.running import InterruptedFunction, RunningJobs

if TYPE_CHECKING:
    from valkeykit.queue.processes.parent import HandlerProcess
    from valkeykit.queue.tracing import Tracing
    from valkeykit.vocabulary import Interruption

LOOP_SHARE_SECONDS = 0.005
"""Seconds that coroutines which never wait may keep the loop."""

INTERRUPT_GRACE_SECONDS = 5.0
"""Seconds in which an interrupted job must end before it is abandoned."""

THREAD_RETRY_SECONDS = 0.5
"""Seconds before a thread is tried again, where the system had none."""

RecordStart = Callable[[Job], Awaitable[bool]]
"""Called before a job's last attempt; False if it must not run, and is held no longer."""

OnLastAttempt = Callable[[Job], None]
"""Called right before the handler of a last attempt is, from any thread."""


class JobExecutor:
    """Runs jobs in tasks, threads and child processes. All methods but those of threads belong to the loop.

    Attributes:
        concurrency: How many jobs run at the same time.
        outcomes: How jobs ended, until they are acknowledged.
        busy: How many tasks and threads are in use.
        running: The jobs that have begun and not ended.
    """

    def __init__(
        self,
        concurrency: int,
        on_finished: Callable[[], None],
        record_start: RecordStart | None = None,
        on_last_attempt: OnLastAttempt | None = None,
        max_result: int = MAX_RESULT_BYTES,
        *,
        tracing: Tracing | None = None,
    ) -> None:
        """Call it in the event loop.

        Args:
            concurrency: How many jobs may run at the same time.
            on_finished: Called in the loop, soon after jobs have ended; their outcomes are in `outcomes`.
            record_start: Called before a job's last attempt.
            on_last_attempt: Called right before the handler of a last attempt.
            max_result: Size limit of a result in bytes.
            tracing: Makes a span of each attempt.
        """
        self.concurrency = concurrency
        self.busy = 0
        self._runs = RunningJobs(on_finished)
        self.outcomes = self._runs.outcomes
        self.running = self._runs.jobs
        self._on_finished = on_finished
        self._record_start = record_start
        self._on_last_attempt = on_last_attempt or (lambda _: None)
        self._max_result = max_result
        self._tracing = tracing
        self._context = copy_context()
        self._coroutines: deque[Job] = deque()
        self._functions: deque[Job] = deque()
        self._continued: deque[tuple[Job, Any, Context]] = deque()
        self._loop = asyncio.get_running_loop()
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

    def reject(self, job: Job, error: Exception) -> None:
        """Fail a job that can't run."""
        self._runs.finish(job, error=error)

    def interrupt(self, job: Job, reason: Interruption) -> None:
        """Make a running job end."""
        self._runs.interrupt(job, reason)

    def abandon(self, job: Job) -> None:
        """Abandon a job that doesn't end: its thread or task may never return, so a new one replaces it."""
        is_function = job.task is None
        if self._runs.finish(job, error=interruption_error(job), abandoned=True):
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
        """False if the system has no more threads: then those that there are do the work, or it is tried again."""
        try:
            threading.Thread(target=self._thread, name="valkeykit-job", daemon=True).start()
        except RuntimeError as problem:
            logger.warning("no thread for jobs: %s", problem)
            self._loop.call_later(THREAD_RETRY_SECONDS, self._fill)
            return False
        self._threads += 1
        return True

    def _new_context(self, job: Job) -> Context:
        context = self._context.copy()
        if self._tracing is not None:
            context.run(self._tracing.begin, job)
        return context

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
                self._runs.attach_task(job, task)
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
        """Run a job, or the rest of one that a function began. False if it was abandoned meanwhile."""
        if context is None:
            self._runs.begin(job)
        if job.interrupt is not None:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            return self._runs.finish(job, error=interruption_error(job))
        try:
            if context is None:
                if job.attempt >= job.spec.attempts:
                    if not await self._may_run(job):
                        return True
                    self._on_last_attempt(job)
                context = self._new_context(job)
                awaitable = context.run(call, job)
            value = await complete(awaitable, context)
        except asyncio.CancelledError as error:
            if self._closed:
                raise
            return self._end_cancelled(job, error)
        except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
            return self._runs.finish(job, error=error)
        return self._runs.finish(job, value)

    def _end_cancelled(self, job: Job, error: asyncio.CancelledError) -> bool:
        """An error that the handler itself let out, a cancelled task that it awaited for example, fails the job."""
        if job.interrupt is not None and sys.version_info >= (3, 11) and job.task is not None:
            job.task.uncancel()
        return self._runs.finish(job, error=interruption_error(job, error))

    async def _may_run(self, job: Job) -> bool:
        self._runs.stop_clock(job)  # until the server has answered
        if self._record_start is None or await self._record_start(job):
            self._runs.restart_clock(job)
            return True
        self._runs.disown(job)
        return False

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
            self._runs.begin(job)
            return job

    def _run_function(self, job: Job) -> bool:
        """Run a job. False if it was abandoned meanwhile, and its thread is replaced."""
        try:
            if not self._may_run_function(job):
                return True
            context = self._new_context(job)
            self._runs.attach_thread(job)
            try:
                value = context.run(call, job)
                if value is not None and inspect.isgenerator(value):
                    value = context.run(exhaust, value)
                if value is not None and (inspect.isawaitable(value) or inspect.isasyncgen(value)):
                    return self._continue_in_loop(job, value, context)
            except InterruptedFunction:
                raise
            except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
                return self._runs.finish(job, error=error)
            return self._runs.finish(job, value)
        except InterruptedFunction as error:  # it may come a moment after the function has ended
            return self._runs.finish(job, error=interruption_error(job, error)) or not job.is_abandoned

    def _run_in_process(self, job: Job, process: HandlerProcess) -> bool:
        assert job.handler is not None  # noqa: S101  (`submit` has checked it)
        try:
            if not self._may_run_function(job):
                return True
            self._new_context(job)
            self._runs.attach_process(job, process.kill)
            text = process.run(
                job.handler.function, job.arguments, job_id=job.id, attempt=job.attempt,
                report_progress=job.progress, is_cancelled=lambda: job.is_interrupted,
                is_last_attempt=job.is_last_attempt, queue=job.queue, name=job.name,
                trace=job.trace if job.end_span else "",
                max_result=self._max_result if job.spec.result_ttl else None,
            )  # fmt: skip
        except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
            if getattr(error, "kind", "") == InvalidResultError.__name__:
                error = InvalidResultError(str(error).partition(": ")[2])
            return self._runs.finish(job, error=interruption_error(job, error))
        finally:
            self._runs.detach_process(job)
        return self._runs.finish(job, None if text is None else EncodedResult(text))

    def _may_run_function(self, job: Job) -> bool:
        if job.attempt < job.spec.attempts or self._record_start is None:
            return True
        may_run = asyncio.run_coroutine_threadsafe(self._may_run(job), self._loop).result()
        if may_run:
            self._on_last_attempt(job)
        return may_run

    def _continue_in_loop(self, job: Job, awaitable: Any, context: Context) -> bool:
        """A function returned something that must be awaited: its job continues in the loop, and its thread is free."""
        self._runs.detach_thread(job)
        self._loop.call_soon_threadsafe(self._take_over, job, awaitable, context)
        return True

    def _take_over(self, job: Job, awaitable: Any, context: Context) -> None:
        self._continued.append((job, awaitable, context))
        self._fill()


def _new_process() -> HandlerProcess:
    from valkeykit.queue.processes.parent import HandlerProcess

    return HandlerProcess()
