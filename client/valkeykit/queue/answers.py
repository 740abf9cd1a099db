"""What the server answers, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple


class Added(NamedTuple):
    """A job that was added, or (new=False) the one that was there before it."""

    id: str
    new: bool


class Assignment(NamedTuple):
    """What a take brought: jobs as (id, attempt, record).

    next_event: ms until there may be more, -1 for nobody knows.
    alone: the one job has lost a worker before, so it runs with no other beside it.
    """

    next_event: int
    alone: bool
    repeats_due: int
    jobs: list[tuple[bytes, int, bytes]]


@dataclass(frozen=True)
class Statistics:
    """Counts of a queue. waiting, active, delayed, dead: now. The totals: since the queue began."""

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


@dataclass(frozen=True)
class JobState:
    """Everything known of one job. state: waiting, active, delayed, dead, completed or missing."""

    id: str
    state: str
    name: str | None
    attempts: int
    error: str | None
    progress: Any
    result: Any


@dataclass(frozen=True)
class DeadLetter:
    """A job that was given up. failed_at: seconds since the epoch, by the server's clock."""

    id: str
    name: str
    arguments: Any
    attempts: int
    error: str
    failed_at: float


@dataclass(frozen=True)
class DueRepeat:
    """A repeat, when it is due, and what the time is: ms by the server's clock. plan: as the server keeps it."""

    name: str
    plan: str
    at: int
    now: int


def read_assignment(answer: list[Any]) -> Assignment:
    return Assignment(
        answer[0], answer[1] == 1, answer[2], list(zip(answer[3::3], answer[4::3], answer[5::3], strict=True))
    )


def read_due(answer: list[Any]) -> list[DueRepeat]:
    now, *flat = answer
    return [
        DueRepeat(name.decode(errors="replace"), plan.decode(errors="replace"), at, now)
        for name, plan, at in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ]


def read_statistics(answer: list[Any]) -> Statistics:
    values = {name.decode(): int(value) for name, value in zip(answer[::2], answer[1::2], strict=True)}
    return Statistics(**values | {"paused": values["paused"] == 1})  # type: ignore[arg-type]  # one bool among integers


def read_job(identity: str, answer: list[Any]) -> JobState:
    state, record, attempts, error, progress, result = answer
    return JobState(
        id=identity,
        state=state.decode(),
        name=_name(record) if record else None,
        attempts=attempts,
        error=error.decode(errors="replace") if error else None,
        progress=_value(progress),
        result=_value(result),
    )


def read_dead(answer: list[Any]) -> list[DeadLetter]:
    return [
        DeadLetter(
            id=identity.decode(errors="replace"),
            name=_name(record),
            arguments=_value(record.partition(b"\n")[2]),
            attempts=attempts,
            error=error.decode(errors="replace"),
            failed_at=when / 1000,
        )
        for identity, record, attempts, error, when in zip(*(answer[i::5] for i in range(5)), strict=True)
    ]


def _name(record: bytes) -> str:
    """The job's name; "?" where the record is corrupt."""
    fields = record.partition(b"\n")[0].split(b" ")
    return fields[6].decode(errors="replace") if len(fields) == 7 else "?"


def _value(text: bytes | None) -> Any:
    """The JSON value; None where there is none or it is corrupt."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
