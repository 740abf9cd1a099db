"""Responses of the server, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from valkeykit.errors import InvalidJobError, JobFailedError, OperationTimeoutError
from valkeykit.queue.schema import name_of
from valkeykit.vocabulary import JobStatus, ReapedFate, StoredState

_STATUSES: dict[bytes, JobStatus] = {status.encode(): status for status in get_args(JobStatus)}
_FATES: dict[bytes, ReapedFate] = {fate.encode(): fate for fate in get_args(ReapedFate)}


class Added(NamedTuple):
    """A job that was added.

    Attributes:
        id: Its id.
        new: False if a job of the same id or key was there before; `id` is that one's.
    """

    id: str
    new: bool


class ReapedJob(NamedTuple):
    """A job whose worker didn't renew its lease."""

    id: str
    name: str
    attempt: int
    fate: ReapedFate


class TakeResult(NamedTuple):
    """What a take returned: jobs as (id, attempt, record).

    Attributes:
        next_due_ms: Milliseconds until there may be more; -1 if unknown.
        suspects: How many of the jobs, from the first on, have lost workers more than once.
        is_limited: Whether the queue has a rate limit.
    """

    next_due_ms: int
    schedules_due: int
    suspects: int
    is_limited: bool
    reaped: list[ReapedJob]
    jobs: list[tuple[bytes, int, bytes]]


@dataclass(frozen=True)
class QueueStatistics:
    """Counts of a queue.

    Attributes:
        waiting: Jobs that wait now.
        active: Jobs that a worker holds now.
        delayed: Jobs that are delayed now.
        dead: Dead letters now.
        completed: Jobs completed since the queue was created.
        failed: Jobs that became dead letters.
        retried: Attempts that failed and were retried.
        lost: Leases that ended because a worker didn't renew them.
        cancelled: Jobs that were cancelled or purged.
        completed_last_minute: Jobs completed in the last full minute.
        failed_last_minute: Jobs that became dead letters in the last full minute.
        oldest_ms: Age of the oldest waiting job, in milliseconds.
        paused: Whether the queue is paused.
        due: Delayed jobs whose time has come; they run when a worker takes jobs.
        run_ms: How long the completed jobs ran in total, in milliseconds.
    """

    waiting: int
    active: int
    delayed: int
    dead: int
    completed: int
    failed: int
    retried: int
    lost: int
    cancelled: int
    completed_last_minute: int
    failed_last_minute: int
    oldest_ms: int
    paused: bool
    due: int = 0
    run_ms: int = 0


@dataclass(frozen=True)
class JobState:
    """The state of one job.

    Attributes:
        id: Its id.
        state: `waiting`, `active`, `delayed`, `dead`, `completed` or `missing`.
        name: Its name; None if it is completed or missing.
        attempts: Attempts that have begun.
        error: Error of the latest attempt.
        progress: The value that its handler reported last.
        result: What the handler returned.
        traceback: Traceback of the error that made it a dead letter.
    """

    id: str
    state: JobStatus
    name: str | None
    attempts: int
    error: str | None
    progress: Any
    result: Any
    traceback: str | None = None


@dataclass(frozen=True)
class DeadLetter:
    """A job that failed for good.

    Attributes:
        id: Its id.
        name: Its name.
        arguments: Arguments of the handler.
        attempts: Attempts that were made.
        error: Error of the last attempt.
        failed_at: Seconds since the epoch, by the server's clock.
        traceback: Traceback of the error.
    """

    id: str
    name: str
    arguments: Any
    attempts: int
    error: str
    failed_at: float
    traceback: str | None = None


@dataclass(frozen=True)
class ListedJob:
    """A job of a listing.

    Attributes:
        id: Its id.
        state: `waiting`, `delayed`, `active` or `dead`.
        name: Its name.
        arguments: Arguments of the handler.
        attempts: Attempts that have begun.
        error: Error of the latest attempt.
        progress: The value that its handler reported last.
        due: When a delayed job may run, the lease of an active one ends, or a dead letter failed, in seconds since the
            epoch by the server's clock. None for a waiting one.
        traceback: Traceback of the error that made it a dead letter.
    """

    id: str
    state: StoredState
    name: str
    arguments: Any
    attempts: int
    error: str | None
    progress: Any
    due: float | None
    traceback: str | None = None


@dataclass(frozen=True)
class Page:
    """A part of a listing. is_cut: whether it ended early, since its jobs are large."""

    jobs: list[ListedJob]
    is_cut: bool


@dataclass(frozen=True)
class DueSchedule:
    """A schedule that is due at `at`; both times are ms by the server's clock. serialized: as the server stores it."""

    name: str
    serialized: str
    at: int
    now: int


def read_take(answer: list[Any]) -> TakeResult:
    next_due_ms, schedules_due, suspects, limited, reaped, *jobs = answer
    return TakeResult(
        next_due_ms,
        schedules_due,
        suspects,
        limited == 1,
        [
            ReapedJob(identity.decode(errors="replace"), name_of(record), attempt, _FATES[fate])
            for identity, attempt, record, fate in zip(*(reaped[part::4] for part in range(4)), strict=True)
        ],
        list(zip(jobs[::3], jobs[1::3], jobs[2::3], strict=True)),
    )


def read_schedules(answer: list[Any]) -> list[DueSchedule]:
    now, *flat = answer
    return [
        DueSchedule(name.decode(errors="replace"), serialized.decode(errors="replace"), at, now)
        for name, serialized, at in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ]


def read_statistics(answer: list[Any]) -> QueueStatistics:
    values = {name.decode(): int(value) for name, value in zip(answer[::2], answer[1::2], strict=True)}
    return QueueStatistics(**values | {"paused": values["paused"] == 1})  # type: ignore[arg-type]  # one bool among integers


def read_job(identity: str, answer: list[Any]) -> JobState:
    state, record, attempts, error, traceback, progress, result = answer
    return JobState(
        id=identity,
        state=_STATUSES[state],
        name=name_of(record) if record else None,
        attempts=attempts,
        error=_text(error),
        progress=json_value(progress),
        result=json_value(result),
        traceback=_text(traceback),
    )


def read_page(state: StoredState, answer: list[Any]) -> Page:
    cut, *flat = answer
    jobs = [
        ListedJob(
            id=identity.decode(errors="replace"),
            state=state,
            name=name_of(record),
            arguments=json_value(record.partition(b"\n")[2]),
            attempts=attempts,
            error=_text(error),
            progress=json_value(progress),
            due=when / 1000 if when else None,
            traceback=_text(traceback),
        )
        for identity, record, attempts, error, traceback, progress, when in zip(
            *(flat[part::7] for part in range(7)), strict=True
        )
    ]
    return Page(jobs, cut == 1)


def dead_letter(job: ListedJob) -> DeadLetter:
    """A listed job as the dead letter that it is."""
    return DeadLetter(
        job.id, job.name, job.arguments, job.attempts, job.error or "", job.due or 0.0, traceback=job.traceback
    )


def _text(value: bytes | None) -> str | None:
    return value.decode(errors="replace") if value else None


def json_value(text: bytes | None) -> Any:
    """The JSON value; None if there is none or it is corrupt."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def is_finished(state: JobState) -> bool:
    return state.state in {"completed", "dead", "missing"}


def result_of(state: JobState) -> Any:
    """What the job returned.

    Raises:
        JobFailedError: It is a dead letter.
        InvalidJobError: Nothing is known of it.
        OperationTimeoutError: It isn't done.
    """
    if state.state == "completed":
        return state.result
    if state.state == "dead":
        raise JobFailedError(
            f"job {state.id} failed: {state.error}", fix="find the cause with dead_letters(), then requeue it"
        )
    if state.state == "missing":
        raise InvalidJobError(
            f"job {state.id} is unknown: it is done and kept no result, was cancelled, or was never added",
            fix="add it with result_ttl=3600",
        )
    raise OperationTimeoutError(f"job {state.id} is still {state.state}", fix="wait longer, or run more workers")
