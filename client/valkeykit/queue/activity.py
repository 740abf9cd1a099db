"""What a queue's workers do now and what happened lately, as the server stores it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from valkeykit.queue.responses import json_value

_COUNTED = {"completed", "failed", "retried", "lost", "cancelled"}

_RECENT = re.compile(r"(\d+) (\d+) (\S+) (\S+)")


@dataclass(frozen=True)
class FinishedJob:
    """A job that was completed.

    Attributes:
        id: Its id.
        name: Its name.
        attempts: Attempts that it took.
        seconds: How long the last attempt ran.
        finished_at: Seconds since the epoch, by the server's clock.
    """

    id: str
    name: str
    attempts: int
    seconds: float
    finished_at: float


@dataclass(frozen=True)
class Minute:
    """What happened in a minute of the last hour.

    Attributes:
        start: Seconds since the epoch, by the server's clock.
        completed: Jobs completed.
        failed: Jobs that became dead letters.
        retried: Attempts that failed and were retried.
        lost: Leases that ended because a worker didn't renew them.
        cancelled: Jobs that were cancelled or purged.
    """

    start: int
    completed: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    cancelled: int = 0


@dataclass(frozen=True)
class CurrentJob:
    """A job that a worker ran at its last report.

    Attributes:
        id: Its id.
        name: Its name.
        seconds: How long it had been running.
    """

    id: str
    name: str
    seconds: float


@dataclass(frozen=True)
class WorkerState:
    """A worker as it last reported.

    Attributes:
        name: Its name.
        last_report_seconds: Seconds since its last report.
        host: Its host's name.
        pid: Its process id.
        started: Seconds since the epoch, by the worker's clock.
        concurrency: Jobs that it runs at once.
        running: Jobs that it ran.
        handlers: Names of its handlers.
        version: Its version of valkeykit.
        jobs: The jobs that it ran, the longest running first, at most 20.
    """

    name: str
    last_report_seconds: float
    host: str
    pid: int
    started: float
    concurrency: int
    running: int
    handlers: list[str]
    version: str
    jobs: list[CurrentJob] = field(default_factory=list)


def read_recent(answer: list[bytes]) -> list[FinishedJob]:
    """The list of completed jobs. An entry of another version is left out."""
    listed: list[FinishedJob] = []
    for text in answer:
        finished, *lines = text.decode(errors="replace").split("\n")
        matches = (_RECENT.fullmatch(line) for line in reversed(lines))
        listed += [
            FinishedJob(match[4], match[3], int(match[2]), int(match[1]) / 1000, int(finished) / 1000)
            for match in matches
            if match and finished.isdigit()
        ]
    return listed


def read_history(answer: list[Any]) -> list[Minute]:
    """The ring of minutes, the oldest first; the last one is still running. Those of earlier hours are left out."""
    now, *flat = answer
    current = now // 60_000
    counts: dict[int, dict[str, int]] = {minute: {} for minute in range(current - 59, current + 1)}
    for slot, value in zip(flat[::2], flat[1::2], strict=True):
        minute, number = (int(part) for part in value.split())
        what = slot.decode().partition(":")[0]
        if minute in counts and what in _COUNTED:
            counts[minute][what] = number
    return [Minute(minute * 60, **numbers) for minute, numbers in counts.items()]


def read_workers(answer: list[Any]) -> list[WorkerState]:
    return [
        _worker(name.decode(errors="replace"), ago / 1000, json_value(about))
        for name, ago, about in zip(answer[::3], answer[1::3], answer[2::3], strict=True)
    ]


def _worker(name: str, last_report_seconds: float, about: Any) -> WorkerState:
    """A worker of another version may report less."""
    about = about if isinstance(about, dict) else {}
    return WorkerState(
        name=name,
        last_report_seconds=last_report_seconds,
        host=str(about.get("host", "?")),
        pid=int(about.get("pid", 0)),
        started=float(about.get("started", 0)),
        concurrency=int(about.get("concurrency", 0)),
        running=int(about.get("running", 0)),
        handlers=[str(handler) for handler in about.get("handlers", [])],
        version=str(about.get("version", "?")),
        jobs=[CurrentJob(str(one[0]), str(one[1]), float(one[2])) for one in about.get("jobs", [])],
    )
