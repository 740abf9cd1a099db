"""Views of `valkeykit queue NAME`: a JSON record and a page for the terminal each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from valkeykit.commands.tables import add_row, clean, moment, plain, table
from valkeykit.errors import InvalidJobError
from valkeykit.queue import DeadLetter, JobState, Queue, QueueStatistics, WorkerState
from valkeykit.queue.registry import QueueReading, live_workers
from valkeykit.vocabulary import StoredState

_TIMES = {"delayed": "due (UTC)", "active": "lease ends (UTC)", "dead": "failed (UTC)"}


class View(NamedTuple):
    """JSON values, and a page for the terminal that shows the same."""

    record: Any
    page: RenderableType


def overview(queue: Queue, dead: int) -> View:
    """Show the counts of the queue and its latest dead letters."""
    reading = QueueReading(queue.name, queue.statistics(), live_workers(queue.workers()))
    counts, letters, live = reading.counts, queue.dead_letters(dead), len(reading.workers)
    record = asdict(counts) | {"workers": live, "dead_letters": [asdict(letter) for letter in letters]}
    parts: list[RenderableType] = [_counts(queue.name, counts, live)]
    if letters:
        parts.append(_letters(letters))
    if reading.is_neglected:
        parts.append(neglect(queue.name))
    return View(record, Group(*parts))


def jobs(queue: Queue, state: StoredState, limit: int) -> View:
    """List jobs in a state."""
    listed = queue.jobs(state, limit)
    time = _TIMES.get(state)
    page = table(f"queue {queue.name}: {state}", "id", "job", "attempts", *([time] if time else []), "error")
    for job in listed:
        add_row(page, job.id, job.name, job.attempts, *([moment(job.due)] if time else []), (job.error or "")[:200])
    return View([asdict(job) for job in listed], page)


def recent(queue: Queue, limit: int) -> View:
    """List jobs that were completed lately."""
    listed = queue.recent(limit)
    page = table(f"queue {queue.name}: recent", "id", "job", "attempts", "completed (UTC)", "seconds")
    for job in listed:
        add_row(page, job.id, job.name, job.attempts, moment(job.finished_at), f"{job.seconds:,.3f}")
    return View([asdict(job) for job in listed], page)


def history(queue: Queue) -> View:
    """Count what happened in each minute of the last hour."""
    minutes = queue.history()
    columns = ("completed", "failed", "retried", "lost", "cancelled")
    page = table(f"queue {queue.name}: last hour", "minute (UTC)", *columns)
    for minute in minutes:
        add_row(page, moment(minute.start)[:-3], *(f"{getattr(minute, column):,}" for column in columns))
    return View([asdict(minute) for minute in minutes], page)


def workers(queue: Queue) -> View:
    """List the workers that reported within an hour."""
    listed = queue.workers()
    page = table(
        f"queue {queue.name}: workers",
        "worker", "host", "process", "reported, s ago", "started (UTC)", "running", "jobs", "version", "handlers",
    )  # fmt: skip
    for one in listed:
        add_row(
            page, one.name, one.host, one.pid, f"{one.last_report_seconds:.1f}", moment(one.started),
            f"{one.running} of {one.concurrency}", current_jobs(one), one.version, ", ".join(one.handlers),
        )  # fmt: skip
    return View([asdict(one) for one in listed], page)


def job(queue: Queue, identity: str) -> View:
    """Show the state of a job.

    Raises:
        InvalidJobError: No job has this id.
    """
    state = queue.job(identity)
    if state.state == "missing":
        raise InvalidJobError(
            f"the queue {queue.name} has no job {identity}: it is done, was cancelled or never added",
            fix=f"valkeykit queue {queue.name} --jobs waiting",
        )
    return View(asdict(state), _job(state))


def current_jobs(worker: WorkerState) -> str:
    """The jobs that a worker ran at its last report, with their seconds."""
    return ", ".join(f"{job.name} {job.id} ({job.seconds:,.0f} s)" for job in worker.jobs)


def neglect(name: str) -> Text:
    """A warning that jobs wait and no worker takes them."""
    text = f"warning: jobs wait in the queue {name}, and no worker is live -> valkeykit worker module:queue"
    return Text(clean(text), style="yellow")


def _counts(name: str, counts: QueueStatistics, live: int) -> Table:
    page = table(f"queue {name}" + (" (paused)" if counts.paused else ""))
    page.show_header = False
    page.add_column(style="bold")
    page.add_column(justify="right")
    for label, number in (
        ("waiting", counts.waiting),
        ("active", counts.active),
        ("delayed", counts.delayed),
        ("dead letters", counts.dead),
        ("workers", live),
        ("completed", counts.completed),
        ("completed in the last full minute", counts.completed_last_minute),
        ("retried", counts.retried),
        ("leases lost", counts.lost),
    ):
        page.add_row(label, f"{number:,}")
    page.add_row("age of the oldest waiting job, seconds", f"{counts.oldest_ms / 1000:,.1f}")
    return page


def _letters(letters: list[DeadLetter]) -> Table:
    page = table("dead letters", "id", "job", "attempts", "failed (UTC)", "error")
    for letter in letters:
        add_row(page, letter.id, letter.name, letter.attempts, moment(letter.failed_at), letter.error[:200])
    return page


def _job(state: JobState) -> RenderableType:
    page = table(f"job {state.id}")
    page.show_header = False
    page.add_column(style="bold")
    page.add_column(overflow="fold")
    for label in ("state", "name", "attempts", "error", "progress", "result"):
        value = getattr(state, label)
        if value is not None:
            page.add_row(label, plain(value))
    return Group(page, Text(clean(state.traceback))) if state.traceback else page
