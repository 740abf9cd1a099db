"""Local mode (USE_VALKEY_QUEUE=off): a job runs in process when it is added, without a server."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from valkeykit.errors import ConfigurationError, InvalidJobError, JobTimeoutError
from valkeykit.queue.handlers import Handler, exhaust, exhaust_async
from valkeykit.queue.job import Job, call
from valkeykit.queue.job_options import JobRequest, JobSpec
from valkeykit.queue.log_fields import fields_of
from valkeykit.queue.outcomes import describe, describe_traceback, encode_result, is_final
from valkeykit.queue.responses import Added, DeadLetter, JobState, QueueStatistics
from valkeykit.queue.schedule import Schedule
from valkeykit.vocabulary import StoredState

T = TypeVar("T")

MAX_KEPT_JOBS = 1000
"""Results and dead letters that are kept, the latest of each."""

_logger = logging.getLogger("valkeykit.queue")


@dataclass
class _Entry:
    """A job that runs or is a dead letter.

    Attributes:
        failed_at: Seconds since the epoch.
    """

    spec: JobSpec
    payload: bytes
    job: Job | None = None
    attempts: int = 0
    error: str | None = None
    traceback: str | None = None
    failed_at: float = 0.0
    cancelled: bool = False


class EagerQueue:
    """Runs each job to its end, all attempts without a pause. Delays are skipped."""

    def __init__(self, handlers: Mapping[str, Handler], max_result: int, name: str) -> None:
        self._handlers = handlers
        self._name = name
        self._max_result = max_result
        self._lock = threading.Lock()
        self._running: dict[str, _Entry] = {}
        self._dead: OrderedDict[str, _Entry] = OrderedDict()
        self._results: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._keys: dict[str, tuple[str, float]] = {}
        self._schedules: dict[str, Schedule] = {}
        self._totals: Counter[str] = Counter()
        self.paused = False

    def add(self, job: JobRequest) -> Added:
        """Run a job, unless another one has its id or key.

        Raises:
            InvalidJobError: No handler of this process has the job's name.
        """
        if job.spec.name not in self._handlers:
            raise InvalidJobError(
                f"no handler for {job.spec.name!r} in this process", fix="@queue.handler on its function"
            )
        identity = job.id or secrets.token_urlsafe(8)
        entry = _Entry(job.spec, job.payload)
        with self._lock:
            self._drop_expired()
            if identity in self._running or identity in self._results:
                return Added(identity, False)
            if job.key in self._keys:
                return Added(self._keys[job.key][0], False)
            self._dead.pop(identity, None)
            if job.key is not None:
                self._keys[job.key] = (identity, time.monotonic() + job.key_ttl / 1000)
            self._running[identity] = entry
        self._run(identity, entry)
        return Added(identity, True)

    def state(self, identity: str) -> JobState:
        with self._lock:
            self._drop_expired()
            if identity in self._results:
                result = json.loads(self._results[identity][0])
                return JobState(identity, "completed", None, 0, None, None, result)
            state: StoredState = "active" if identity in self._running else "dead"
            entry = self._running.get(identity) or self._dead.get(identity)
        if entry is None:
            return JobState(identity, "missing", None, 0, None, None, None)
        progress = entry.job.latest_progress if entry.job else None
        return JobState(
            identity, state, entry.spec.name, entry.attempts, entry.error, progress, None, traceback=entry.traceback
        )

    def cancel(self, identity: str) -> str:
        """Delete a dead letter. A running job is not interrupted, and not retried if it fails."""
        with self._lock:
            if identity in self._running:
                self._running[identity].cancelled = True
                return "active"
            if self._dead.pop(identity, None) is None:
                return "missing"
            self._totals["cancelled"] += 1
            return "dead"

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        with self._lock:
            latest = list(reversed(self._dead.items()))[: max(0, limit)]
        return [
            DeadLetter(
                id=identity,
                name=entry.spec.name,
                arguments=json.loads(entry.payload),
                attempts=entry.attempts,
                error=entry.error or "",
                failed_at=entry.failed_at,
                traceback=entry.traceback,
            )
            for identity, entry in latest
        ]

    def requeue(self, identities: Iterable[str]) -> int:
        """Run dead letters again, with all their attempts."""
        number = 0
        for identity in identities:
            with self._lock:
                entry = self._dead.pop(identity, None)
                if entry is None:
                    continue
                self._running[identity] = again = _Entry(entry.spec, entry.payload)
            self._run(identity, again)
            number += 1
        return number

    def statistics(self) -> QueueStatistics:
        with self._lock:
            return QueueStatistics(
                waiting=0,
                active=len(self._running),
                delayed=0,
                dead=len(self._dead),
                completed=self._totals["completed"],
                failed=self._totals["failed"],
                retried=self._totals["retried"],
                lost=0,
                cancelled=self._totals["cancelled"],
                completed_last_minute=0,
                failed_last_minute=0,
                oldest_ms=0,
                paused=self.paused,
            )

    def schedule(self, schedule: Schedule) -> bool:
        """Store a schedule, which doesn't run; returns whether it is new or changed."""
        with self._lock:
            previous = self._schedules.get(schedule.name)
            self._schedules[schedule.name] = schedule
        return previous != schedule

    def schedules(self) -> list[Schedule]:
        with self._lock:
            schedules = list(self._schedules.values())
        now = time.time()
        return sorted(schedules, key=lambda schedule: schedule.after(now))

    def unschedule(self, name: str) -> bool:
        with self._lock:
            return self._schedules.pop(name, None) is not None

    def _run(self, identity: str, entry: _Entry) -> None:
        for attempt in range(1, entry.spec.attempts + 1):
            entry.attempts = attempt
            handler = self._handlers[entry.spec.name]
            entry.job = Job(identity.encode(), attempt, entry.spec, entry.payload, handler)
            entry.job.queue = self._name
            try:
                value = copy_context().run(_attempt, entry.job)
                result = encode_result(value, self._max_result) if entry.spec.result_ttl else None
            except BaseException as error:
                _logger.exception(
                    "job %s (%s) failed at attempt %d", identity, entry.spec.name, attempt, extra=fields_of(entry.job)
                )
                entry.error, entry.traceback = describe(error), describe_traceback(error)
                interrupted = isinstance(error, KeyboardInterrupt)  # Ctrl-C reaches the handler here
                is_last = is_final(entry.job, error) or interrupted
                if self._fail(identity, entry, is_last=is_last):
                    if interrupted:
                        raise
                    return
            else:
                self._complete(identity, entry.spec, result)
                return

    def _fail(self, identity: str, entry: _Entry, *, is_last: bool) -> bool:
        """Note a failed attempt; returns whether it was the last one."""
        with self._lock:
            if not (is_last or entry.cancelled):
                self._totals["retried"] += 1
                return False
            del self._running[identity]
            self._totals["cancelled" if entry.cancelled else "failed"] += 1
            self._free_key(identity)
            if not entry.cancelled:
                entry.failed_at = time.time()
                self._dead[identity] = entry
                _trim(self._dead)
            return True

    def _complete(self, identity: str, spec: JobSpec, result: str | None) -> None:
        with self._lock:
            del self._running[identity]
            self._totals["completed"] += 1
            if result is not None:
                self._results[identity] = (result, time.monotonic() + spec.result_ttl / 1000)
                _trim(self._results)

    def _free_key(self, identity: str) -> None:
        for key in [key for key, (holder, _) in self._keys.items() if holder == identity]:
            del self._keys[key]

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for entries in (self._keys, self._results):
            for name in [name for name, (_, end) in entries.items() if end <= now]:
                del entries[name]


def no_server() -> ConfigurationError:
    """The error of calls that need a server."""
    return ConfigurationError("USE_VALKEY_QUEUE is off, so this queue has no server", fix="USE_VALKEY_QUEUE=on")


def _attempt(job: Job) -> Any:
    return _run_to_end(call(job), job.spec.timeout / 1000)


def _run_to_end(value: Any, timeout: float) -> Any:
    """The final value of what a handler returned: awaitables and generators run to their end."""
    if inspect.isawaitable(value):
        return _run_in_loop(_wait(value, timeout))
    if inspect.isasyncgen(value):
        return _run_in_loop(_wait(exhaust_async(value), timeout))
    if inspect.isgenerator(value):
        return exhaust(value)
    return value


async def _wait(value: Awaitable[T], timeout: float) -> T:
    task = asyncio.ensure_future(value)
    done, _ = await asyncio.wait({task}, timeout=timeout or None)
    if not done:
        raise JobTimeoutError(f"it ran longer than {timeout:g} s")  # the end of the loop cancels the task
    return task.result()


def _run_in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:  # a loop runs in this thread already
        return pool.submit(copy_context().run, asyncio.run, coroutine).result()


def _trim(entries: OrderedDict[str, Any]) -> None:
    while len(entries) > MAX_KEPT_JOBS:
        entries.popitem(last=False)
