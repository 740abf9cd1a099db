"""The worker's API: options, signals, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import secrets
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from valkeykit.errors import ConfigurationError, shown
from valkeykit.queue import job_events
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.job_events import Listener
from valkeykit.queue.processes.references import check_not_importing
from valkeykit.queue.worker.event_loop import run_to_end
from valkeykit.queue.worker.lease_guard import LeaseGuard
from valkeykit.queue.worker.worker_health import Health
from valkeykit.queue.worker.worker_run import WorkerRun

JOB_LEASE_SECONDS = 30.0
"""Seconds without a renewal after which a job goes to another worker."""

SHUTDOWN_TIMEOUT_SECONDS = 25.0
"""Seconds that running jobs have to end after SIGTERM; orchestrators kill after 30."""

DEFAULT_CONCURRENCY = 10
"""Jobs at once, if neither the argument nor JOB_CONCURRENCY is set."""


class Worker:
    """Runs the jobs of a queue.

    Attributes:
        name: A random name, under which `Queue.workers` lists it.
        concurrency: How many jobs run at the same time.
    """

    def __init__(
        self,
        queue: QueueBase,
        *,
        concurrency: int | None = None,
        lease: float = JOB_LEASE_SECONDS,
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
        self._queue = queue
        self._lease = lease
        self._shutdown_timeout = shutdown_timeout
        self._listeners = (job_events.log, *_checked(listeners))
        self._health = Health(queue.name, heartbeat, health_port)
        self._stopping: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._guard: LeaseGuard | None = None
        self._run: WorkerRun | None = None
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
        self._guard = LeaseGuard.fork(self._queue, self.name, self._lease)
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
        """Work until `stop` is called, in a running event loop.

        Args:
            burst: Return when no job waits and none runs.

        Raises:
            UnsupportedServerError: The server doesn't suit a queue.
            LoginError: The server rejected the login when the worker started.
            ConfigurationError: The worker is running already, or a module is being imported by a child process.
        """
        check_not_importing()
        if self._is_serving:
            raise ConfigurationError("this worker is already running", fix="create another Worker")
        self._is_serving = True
        try:
            self._loop = asyncio.get_running_loop()
            self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
            if not self._is_stopped:
                self._run = WorkerRun(
                    self._queue,
                    name=self.name,
                    concurrency=self.concurrency,
                    lease=self._lease,
                    shutdown_timeout=self._shutdown_timeout,
                    listeners=self._listeners,
                    health=self._health,
                    guard=self._guard,
                    stopping=self._stopping,
                    hurry=self._hurry,
                )
                await self._run.serve(burst=burst)
        finally:
            self._is_serving = self._is_stopped = False


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
