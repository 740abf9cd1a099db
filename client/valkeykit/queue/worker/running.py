"""Running jobs: their start, interruption and end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from valkeykit.queue.outcomes import Outcome

if TYPE_CHECKING:
    from valkeykit.queue.job import Job
    from valkeykit.vocabulary import Interruption


class InterruptedFunction(BaseException):
    """Raised inside a function that is to end. Not an Exception, so that handlers don't catch it by accident."""


class RunningJobs:
    """Owns the fields of a job that change while it runs. Any thread may call its methods.

    Attributes:
        jobs: The jobs that have begun and not ended.
        outcomes: How the others ended, until they are acknowledged.
    """

    def __init__(self, on_finished: Callable[[], None]) -> None:
        """Call it in the event loop.

        Args:
            on_finished: Called in the loop, soon after jobs have ended.
        """
        self.jobs: set[Job] = set()
        self.outcomes: deque[Outcome] = deque()
        self._on_finished = on_finished
        self._loop = asyncio.get_running_loop()
        self._is_notified = False
        self._lock = threading.Lock()

    def begin(self, job: Job) -> None:
        """Add a job, and start its clocks."""
        job.started = job.called = time.monotonic()
        self.jobs.add(job)

    def stop_clock(self, job: Job) -> None:
        """Don't count the time until `restart_clock` towards the job's timeout."""
        job.called = 0.0

    def restart_clock(self, job: Job) -> None:
        """Count the job's timeout from now on."""
        job.called = time.monotonic()

    def attach_task(self, job: Job, task: asyncio.Task[None] | None) -> None:
        """Note the task that runs a job; an interrupt cancels it."""
        job.task = task

    def attach_thread(self, job: Job) -> None:
        """From here on an interrupt reaches this thread.

        Raises:
            InterruptedFunction: An interrupt came before.
        """
        with self._lock:
            if job.interrupt is not None:
                raise InterruptedFunction
            job.thread = threading.get_ident()

    def detach_thread(self, job: Job) -> None:
        """No interrupt reaches the thread any more."""
        with self._lock:
            job.thread = None

    def attach_process(self, job: Job, kill: Callable[[], None]) -> None:
        """Note how the child process of a job is killed; an interrupt does so."""
        job.kill = kill

    def detach_process(self, job: Job) -> None:
        """No interrupt kills the child process any more."""
        with self._lock:
            job.kill = None

    def interrupt(self, job: Job, reason: Interruption) -> None:
        """Make a job end."""
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
                thread = ctypes.c_ulong(job.thread)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(InterruptedFunction))

    def finish(
        self, job: Job, value: Any = None, error: BaseException | None = None, *, abandoned: bool = False
    ) -> bool:
        """Note how a job ended, once. False if it had ended already."""
        with self._lock:
            if job.over:
                return False
            job.is_abandoned = abandoned
            self.outcomes.append(Outcome(job, value, error))  # first, since an interrupt may come between
            job.over = True
        if job.end_span is not None:
            job.end_span(error)
        self.jobs.discard(job)
        self._notify_soon()
        return True

    def disown(self, job: Job) -> None:
        """Forget a job that must not run here."""
        with self._lock:
            job.over = True
        self.jobs.discard(job)
        self._notify_soon()

    def _notify_soon(self) -> None:
        if not self._is_notified:
            self._is_notified = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: a thread outlived its worker
                self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        self._is_notified = False
        self._on_finished()
