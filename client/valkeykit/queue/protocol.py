"""The calls of a queue to the server, as data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Generic, TypeVar, get_args

from valkeykit.errors import InvalidJobError, shown
from valkeykit.lua import Script
from valkeykit.lua import script as load
from valkeykit.queue import schema
from valkeykit.queue.activity import FinishedJob, Minute, WorkerState, read_history, read_recent, read_workers
from valkeykit.queue.call_ids import CallIds
from valkeykit.queue.job_options import JobRequest, check_count, check_queue_name, check_word
from valkeykit.queue.responses import (
    Added,
    DueSchedule,
    JobState,
    Page,
    QueueStatistics,
    TakeResult,
    read_job,
    read_page,
    read_schedules,
    read_statistics,
    read_take,
)
from valkeykit.queue.schedule import Schedule
from valkeykit.vocabulary import StoredState

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

BATCH_JOBS = 500
BATCH_BYTES = 512 * 1024
"""What one call of add_many holds at most, so that the server isn't kept busy for long."""

PAGE_JOBS = 100
"""Jobs that one answer of a listing holds at most, so that the server isn't kept busy for long."""

PAGE_BYTES = 1024 * 1024
"""What one answer holds at most: servers end connections whose answers take too much memory."""


@dataclass(slots=True)  # a frozen one takes three times as long to create
class ScriptCall(Generic[T_co]):
    """A script with its keys and arguments, and the function that reads its answer. It may be sent more than once."""

    script: Script
    keys: tuple[str, ...]
    arguments: Sequence[Any]
    read: Callable[[Any], T_co]


def script(name: str) -> Script:
    """Load a script of the queue."""
    return load("valkeykit.queue", name)


class QueueProtocol:
    """Creates the calls of one queue."""

    def __init__(self, name: str) -> None:
        self.prefix = schema.key_prefix(check_queue_name(name))
        self.wake_key = f"{self.prefix}:wakeups"
        self._call_ids = CallIds()
        self._fixed_keys = cache(self._complete)
        self._last_number = 0

    def add(self, job: JobRequest) -> ScriptCall[Added]:
        producer, call = self._call_ids.next()
        identity = job.id or f"{producer}{call:x}"
        head = (call, job.delay, job.spec_line, identity, job.payload)
        line, seen = self._line(job), f"seen:{producer}"
        if job.id is None and job.key is None:
            return self._call("add", head, partial(_known, Added(identity, True)), line, seen)
        keys = (line, seen, f"answers:{producer}", f"result:{identity}")
        return self._call("add_unique", (*head, job.key or "", job.key_ttl), _added, *keys)

    def add_many(self, jobs: Iterable[JobRequest]) -> Iterator[ScriptCall[list[str]]]:
        """A call for each batch; the jobs of a call are added all or none, and share spec and delay."""
        for batch in _batches(jobs):
            producer, call = self._call_ids.next()
            identities = [f"{producer}{call:x}.{number:x}" for number in range(len(batch))]
            arguments: list[Any] = [call, batch[0].delay, batch[0].spec_line]
            for identity, job in zip(identities, batch, strict=True):
                arguments += (identity, job.payload)
            yield self._call("add", arguments, partial(_known, identities), self._line(batch[0]), f"seen:{producer}")

    def take(
        self,
        worker: str,
        limit: int,
        lease_ms: int,
        *,
        free: int | None = None,
        max_bytes: int = PAGE_BYTES,
        suspect: bool = True,
    ) -> ScriptCall[TakeResult]:
        """Lease jobs; sent again, the same call returns the same jobs.

        Args:
            limit: Jobs at most.
            free: Jobs that can run now; None for `limit`.
            suspect: Whether one of those that were lost with their worker may be among them.
        """
        arguments = (worker, self._number(), limit, limit if free is None else free, lease_ms, max_bytes, int(suspect))
        return self._call("take", arguments, read_take, f"taken:{worker}")

    def start(self, worker: str, jobs: Sequence[Any]) -> ScriptCall[list[bytes]]:
        """Record that last attempts start. `jobs` is a flat list: id, attempt, …"""
        return self._call("start", (worker, *jobs), list)

    def finish(
        self,
        worker: str,
        plain: Sequence[Any],
        with_results: Sequence[Any],
        *,
        run_ms: int = 0,
        recent: str = "",
    ) -> ScriptCall[list[bytes]]:
        """Complete jobs. Both lists are flat; the answer is the ids that were lost.

        Args:
            worker: Name of the worker.
            plain: Jobs without a result: id, attempt, …
            with_results: Jobs with a result: id, attempt, TTL in ms, result, …
            run_ms: How long they ran in total.
            recent: Lines for the list of recent jobs, by `recent_lines`.
        """
        results = (f"result:{_text(identity)}" for identity in with_results[::4])
        arguments = (worker, self._number(), run_ms, recent, len(plain) // 2, *plain, *with_results)
        return self._call("finish", arguments, list, f"report:{worker}", *results)

    def fail(self, worker: str, failures: Sequence[Any]) -> ScriptCall[tuple[list[bytes], list[bytes]]]:
        """Retry jobs, or move them to the dead letters; the answer is the ids that were lost and the cancelled ones.

        Args:
            worker: Name of the worker.
            failures: A flat list: id, attempt, delay in ms or -1 for a dead letter, error, traceback, …
        """
        return self._call("fail", (worker, self._number(), *failures), _pair, f"report:{worker}")

    def drop(self, worker: str, jobs: Sequence[Any]) -> ScriptCall[list[bytes]]:
        """End jobs that were cancelled. `jobs` is a flat list: id, attempt, …"""
        return self._call("drop", (worker, self._number(), *jobs), list, f"report:{worker}")

    def release(self, worker: str, jobs: Sequence[Any], delay_ms: int = 0) -> ScriptCall[int]:
        """Return jobs to the queue. `jobs` is a flat list: id, attempt, …"""
        return self._call("release", (worker, delay_ms, *jobs), int)

    def renew(
        self, worker: str, lease_ms: int, jobs: Sequence[Any], about: str = ""
    ) -> ScriptCall[tuple[list[bytes], list[bytes]]]:
        """Renew leases; the answer is the ids that were lost, and those that were cancelled. `jobs`: id, attempt, …"""
        return self._call("renew", (worker, lease_ms, about, *jobs), _pair)

    def leave(self, worker: str) -> ScriptCall[int]:
        return self._call("leave", (worker,), int)

    def workers(self) -> ScriptCall[list[WorkerState]]:
        return self._call("workers", (), read_workers)

    def cancel(self, identity: str) -> ScriptCall[str]:
        producer, call = self._call_ids.next()
        return self._call("cancel", (call, identity), _text, f"answers:{producer}")

    def purge(self, state: StoredState) -> ScriptCall[int]:
        producer, call = self._call_ids.next()
        return self._call("purge", (call, state), int, f"answers:{producer}")

    def progress(self, worker: str, identity: bytes, attempt: int, progress: Any) -> ScriptCall[bool]:
        return self._call("progress", (worker, identity, attempt, json.dumps(progress)), bool)

    def requeue(self, identities: Sequence[str]) -> ScriptCall[int]:
        producer, call = self._call_ids.next()
        return self._call("requeue", (call, *identities), int, f"answers:{producer}")

    def now(self) -> ScriptCall[int]:
        """The server's time in ms."""
        return self._call("schedule_due", (1, 0), lambda answer: int(answer[0]))

    def schedule(self, schedule: Schedule, now: int) -> ScriptCall[bool]:
        return self._set_schedule(schedule.name, schedule.serialized, round(schedule.after(now / 1000) * 1000))

    def unschedule(self, name: str) -> ScriptCall[bool]:
        return self._set_schedule(name, "", 0)

    def _set_schedule(self, name: str, serialized: str, due: int) -> ScriptCall[bool]:
        producer, call = self._call_ids.next()
        return self._call("schedule_set", (call, name, serialized, due), bool, f"answers:{producer}")

    def schedules(self, skip: int = 0) -> ScriptCall[list[DueSchedule]]:
        """Up to 200 of them."""
        return self._call("schedule_due", (0, skip), read_schedules)

    def due_schedules(self, skip: int = 0) -> ScriptCall[list[DueSchedule]]:
        """Up to 200 of them."""
        return self._call("schedule_due", (1, skip), read_schedules)

    def fire(self, due: DueSchedule) -> ScriptCall[bool]:
        """Add the job of a schedule. Its id is made of name and time, so that no two workers add it.

        Raises:
            InvalidJobError: It can't be read here, or has no further time.
        """
        schedule = Schedule.deserialize(due.name, due.serialized)
        upcoming = round(schedule.after(due.now / 1000) * 1000)
        job = (int(schedule.overlap), schedule.spec.spec_line, f"{due.name}@{due.at}", schedule.payload)
        return self._call(
            "schedule_fire", (due.name, due.at, upcoming, *job), bool, f"waiting:{schedule.spec.priority}"
        )

    def pause(self, paused: bool) -> ScriptCall[None]:
        return self._call("configure", ("paused", int(paused)), _nothing)

    def limit(self, jobs: int, period_ms: int) -> ScriptCall[None]:
        return self._call("configure", ("rate", jobs, period_ms), _nothing)

    def limit_dead_letters(self, count: int | None, age_ms: int | None) -> ScriptCall[None]:
        limits = ("" if limit is None else limit for limit in (count, age_ms))
        return self._call("configure", ("dead", *limits), _nothing)

    def statistics(self) -> ScriptCall[QueueStatistics]:
        return self._call("statistics", (), read_statistics)

    def history(self) -> ScriptCall[list[Minute]]:
        return self._call("history", (), read_history)

    def recent(self, number: int) -> ScriptCall[list[FinishedJob]]:
        """At least `number` completed jobs, where the server has so many."""
        return self._call("recent", (number,), read_recent)

    def job(self, identity: str) -> ScriptCall[JobState]:
        return self._call("job", (identity,), partial(read_job, identity), f"result:{identity}")

    def jobs(self, state: StoredState, skip: int, number: int) -> ScriptCall[Page]:
        """A page of jobs in a state; it may hold fewer than there are, by the bound on its bytes."""
        arguments = (state, skip, min(number, PAGE_JOBS), PAGE_BYTES)
        return self._call("list", arguments, partial(read_page, state))

    def _call(self, name: str, arguments: Sequence[Any], read: Callable[[Any], T], *keys: str) -> ScriptCall[T]:
        loaded, fixed = self._fixed_keys(name)
        return ScriptCall(loaded, (*fixed, *[f"{self.prefix}:{key}" for key in keys]), arguments, read)

    def _complete(self, name: str) -> tuple[Script, tuple[str, ...]]:
        loaded = script(name)
        return loaded, (self.prefix, *(f"{self.prefix}:{key}" for key in loaded.keys))

    def _number(self) -> int:
        """In microseconds; it grows with each call, so that a copy which arrives late is recognized."""
        self._last_number = max(self._last_number + 1, time.monotonic_ns() // 1000)
        return self._last_number

    def _line(self, job: JobRequest) -> str:
        return f"{'delayed' if job.delay else 'waiting'}:{job.spec.priority}"


def check_listing(state: StoredState, limit: int, skip: int) -> int:
    """Check what a listing takes; returns the limit.

    Raises:
        InvalidJobError: An argument can't be used.
    """
    if not isinstance(state, str) or state not in get_args(StoredState):
        raise InvalidJobError(f"{shown(state)} is not one of {', '.join(get_args(StoredState))}", fix='jobs("waiting")')
    check_count("skip", skip)
    return check_count("limit", limit)


def check_purge(state: StoredState) -> StoredState:
    """Check what can be purged.

    Raises:
        InvalidJobError: It isn't one of the states.
    """
    if not isinstance(state, str) or state not in {"waiting", "delayed", "dead"}:
        raise InvalidJobError(f"{shown(state)} is not one of waiting, delayed, dead", fix='purge("dead")')
    return state


def batched_ids(identities: Sequence[str]) -> list[list[str]]:
    """Ids, checked, in the batches that a call may have.

    Raises:
        InvalidJobError: One of them isn't an id, or they aren't a list.
    """
    if isinstance(identities, str | bytes) or not isinstance(identities, Iterable):
        raise InvalidJobError(f"the ids are {shown(identities)}, not a list", fix='requeue(["id"])')
    ids = [check_word("id", identity) for identity in identities]
    return [ids[first : first + BATCH_JOBS] for first in range(0, len(ids), BATCH_JOBS)]


def _batches(jobs: Iterable[JobRequest]) -> Iterator[list[JobRequest]]:
    batch: list[JobRequest] = []
    size = 0
    for job in jobs:
        batch.append(job)
        size += len(job.payload)
        if len(batch) == BATCH_JOBS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _known(value: T, _: Any) -> T:
    return value


def _nothing(_: Any) -> None:
    return None


def _added(answer: list[Any]) -> Added:
    return Added(answer[0].decode(), answer[1] == 1)


def _pair(answer: list[Any]) -> tuple[list[bytes], list[bytes]]:
    return answer[0], answer[1]


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
