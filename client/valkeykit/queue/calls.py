"""What a queue asks of the server: pure data, which the sync and the asyncio queue both send."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from valkeykit.lua import Script
from valkeykit.lua import script as load
from valkeykit.queue.answers import (
    Added,
    Assignment,
    DeadLetter,
    DueRepeat,
    JobState,
    Statistics,
    read_assignment,
    read_dead,
    read_due,
    read_job,
    read_statistics,
)
from valkeykit.queue.options import Description, check_queue_name
from valkeykit.queue.repeats import Repeat

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

BATCH_JOBS = 500
BATCH_BYTES = 512 * 1024
"""What one call of add_many holds at most, so that the server isn't kept busy for long."""

CALLS_OF_A_PRODUCER = 1 << 16
"""Then it takes a new name, so that what the server remembers of it stays at 8 KiB."""


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One script, its arguments, and what its answer means. It may be sent again: nothing is done twice."""

    script: Script
    arguments: Sequence[Any]
    read: Callable[[Any], T_co]


class Producer:
    """Makes ids and numbers its calls, so that the server knows a call that is sent again."""

    def __init__(self) -> None:
        self._process = 0
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self.name = secrets.token_urlsafe(8)
        self._calls = iter(range(CALLS_OF_A_PRODUCER))

    def next(self) -> tuple[str, int]:
        """The producer's name and the call's number; a forked process has a name of its own."""
        if self._process != os.getpid():
            self._renew()
        call = next(self._calls, None)
        if call is None:
            self._renew()
            return self.next()
        return self.name, call


def script(name: str) -> Script:
    """A script of the queue's."""
    return load("valkeykit.queue", name)


class Calls:
    """The calls of one queue."""

    def __init__(self, name: str) -> None:
        self.base = f"valkeykit:{{{check_queue_name(name)}}}"
        self.wake_key = f"{self.base}:wake"
        self._producer = Producer()

    def add(self, job: Description) -> Call[Added]:
        producer, call = self._producer.next()
        head = (producer, call, job.spec.priority, job.delay, job.spec.header)
        identity = job.id or f"{producer}{call:x}"
        if job.id is None and job.key is None:
            return Call(script("add"), (*head, identity, job.payload), lambda _: Added(identity, True))
        arguments = (*head, identity, job.payload, job.key or "", job.key_ttl)
        return Call(script("add_unique"), arguments, lambda answer: Added(answer[0].decode(), answer[1] == 1))

    def add_many(self, jobs: Iterable[Description]) -> Iterator[Call[list[str]]]:
        """A call for each batch; the jobs of a call are added all or none, and share spec and delay."""
        for batch in _batches(jobs):
            producer, call = self._producer.next()
            identities = [f"{producer}{call:x}.{number:x}" for number in range(len(batch))]
            spec, _, delay, *_ = batch[0]
            arguments: list[Any] = [producer, call, spec.priority, delay, spec.header]
            for identity, job in zip(identities, batch, strict=True):
                arguments += (identity, job.payload)
            yield Call(script("add"), arguments, partial(_known, identities))

    def take(self, worker: str, limit: int, lease_ms: int) -> Call[Assignment]:
        return Call(script("take"), (worker, limit, lease_ms), read_assignment)

    def finish(self, worker: str, plain: Sequence[Any], with_results: Sequence[Any]) -> Call[list[bytes]]:
        """plain: id, attempt, … flat; with_results: id, attempt, ttl in ms, result, … flat."""
        return Call(script("finish"), (worker, len(plain) // 2, *plain, *with_results), list)

    def fail(self, worker: str, failures: Sequence[Any]) -> Call[list[bytes]]:
        """failures: id, attempt, delay in ms or -1, error, … flat."""
        return Call(script("fail"), (worker, *failures), list)

    def release(self, worker: str, jobs: Sequence[Any]) -> Call[int]:
        """jobs: id, attempt, … flat."""
        return Call(script("release"), (worker, *jobs), int)

    def renew(self, worker: str, lease_ms: int, jobs: Sequence[Any]) -> Call[tuple[list[bytes], list[bytes]]]:
        """jobs: id, attempt, … flat. The answer: ids that were lost, ids that were cancelled."""
        return Call(script("renew"), (worker, lease_ms, *jobs), lambda answer: (answer[0], answer[1]))

    def cancel(self, identity: str) -> Call[str]:
        return Call(script("cancel"), (identity, "", ""), _text)

    def drop_cancelled(self, worker: str, identity: bytes, attempt: int) -> Call[str]:
        return Call(script("cancel"), (identity, worker, attempt), _text)

    def progress(self, worker: str, identity: bytes, attempt: int, progress: Any) -> Call[bool]:
        return Call(script("progress"), (worker, identity, attempt, json.dumps(progress)), bool)

    def requeue(self, identities: Sequence[str]) -> Call[int]:
        return Call(script("requeue"), tuple(identities), int)

    def now(self) -> Call[int]:
        """The server's time in ms."""
        return Call(script("repeat_due"), (1,), lambda answer: int(answer[0]))

    def repeat(self, repeat: Repeat, now: int) -> Call[bool]:
        due = round(repeat.after(now / 1000) * 1000)
        return Call(script("repeat_set"), (repeat.name, repeat.plan, due), bool)

    def stop_repeating(self, name: str) -> Call[bool]:
        return Call(script("repeat_set"), (name, "", 0), bool)

    def repeats(self) -> Call[list[Repeat]]:
        return Call(
            script("repeat_due"),
            (0,),
            lambda answer: [Repeat.from_plan(due.name, due.plan) for due in read_due(answer)],
        )

    def repeats_due(self) -> Call[list[DueRepeat]]:
        return Call(script("repeat_due"), (1,), read_due)

    def fire(self, due: DueRepeat) -> Call[bool]:
        """Add the job of a repeat. Its id is made of name and time, so that nobody adds it twice.

        Raises:
            InvalidJobError: its plan is corrupt, or has no further time.
        """
        repeat = Repeat.from_plan(due.name, due.plan)
        upcoming = round(repeat.after(due.now / 1000) * 1000)
        identity = f"{due.name}@{due.at}"
        job = (repeat.spec.priority, repeat.spec.header, identity, repeat.payload)
        return Call(script("repeat_fire"), (due.name, due.at, upcoming, *job), bool)

    def pause(self, paused: bool) -> Call[None]:
        return Call(script("configure"), ("paused", int(paused)), _nothing)

    def limit(self, jobs: int, period_ms: int) -> Call[None]:
        return Call(script("configure"), ("rate", jobs, period_ms), _nothing)

    def statistics(self) -> Call[Statistics]:
        return Call(script("statistics"), (), read_statistics)

    def job(self, identity: str) -> Call[JobState]:
        return Call(script("job"), (identity,), lambda answer: read_job(identity, answer))

    def dead(self, limit: int) -> Call[list[DeadLetter]]:
        return Call(script("dead"), (limit,), read_dead)


def _batches(jobs: Iterable[Description]) -> Iterator[list[Description]]:
    batch: list[Description] = []
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


def _text(answer: bytes) -> str:
    return answer.decode()
