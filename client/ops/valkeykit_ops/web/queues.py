"""The queues of a server, as the page reads and changes them. Any thread may call it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from redis.exceptions import ConnectionError as ConnectionLostError
from redis.exceptions import TimeoutError as ResponseTimeoutError
from valkeykit.connection import open_client
from valkeykit.error_translation import translate_errors
from valkeykit.errors import InvalidJobError, shown
from valkeykit.fast_connection import FastConnection
from valkeykit.queue import FinishedJob, JobState, ListedJob, Minute, Schedule
from valkeykit.queue.job_options import JobRequest
from valkeykit.queue.protocol import PAGE_JOBS, QueueProtocol, ScriptCall, batched_ids
from valkeykit.queue.registry import QueueReading, ask, live_workers, read_queues
from valkeykit.queue.responses import json_value
from valkeykit.queue.schema import REGISTRY_KEY
from valkeykit.settings import ConnectionSettings
from valkeykit.vocabulary import StoredState

T = TypeVar("T")

Action = Literal["pause", "resume", "requeue", "cancel", "run"]

SEARCHED_JOBS = 1000
"""Jobs of a state that a search looks at."""

_KNOWN_QUEUES = 1000
"""Queues whose calls are kept."""


class JobPage(NamedTuple):
    """A page of jobs. has_more: whether another one follows. searched: how many jobs a search looked at."""

    jobs: list[ListedJob]
    has_more: bool
    searched: int = 0


class JobDetails(NamedTuple):
    """A job. created: seconds since the epoch; None for a job that is no longer stored."""

    state: JobState
    arguments: Any
    created: float | None


class QueueReader:
    """Reads and changes the queues of a server.

    Args:
        settings: How to connect.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = replace(settings, decode=False)
        self._connection: FastConnection | None = None
        self._protocols: OrderedDict[str, QueueProtocol] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def all(self) -> list[QueueReading]:
        """Every queue that was used on the server."""
        return self._run(lambda connection: list(read_queues(connection)))

    def one(self, name: str) -> QueueReading:
        """A queue with its counts and live workers.

        Raises:
            InvalidJobError: It was never used.
        """
        calls = self._protocol(name)
        return QueueReading(name, self._ask(calls.statistics()), live_workers(self._ask(calls.workers())))

    def history(self, name: str) -> list[Minute]:
        """The last 60 minutes."""
        return self._ask(self._protocol(name).history())

    def recent(self, name: str) -> list[FinishedJob]:
        """Jobs that were completed, the latest first."""
        return self._ask(self._protocol(name).recent(PAGE_JOBS))[:PAGE_JOBS]

    def schedules(self, name: str) -> list[Schedule]:
        """Up to 200 schedules."""
        return [
            Schedule.listed(due.name, due.serialized, due.at) for due in self._ask(self._protocol(name).schedules())
        ]

    def jobs(self, name: str, state: StoredState, number: int) -> JobPage:
        """A page of jobs in a state, from 0 on."""
        skip = number * PAGE_JOBS
        jobs = self._listed(name, state, skip, PAGE_JOBS)
        return JobPage(jobs, bool(jobs) and bool(self._listed(name, state, skip + len(jobs), 1)))

    def search(self, name: str, state: StoredState, text: str) -> JobPage:
        """Jobs whose id, name or error contains a text, among the first ones of a state."""
        found: list[ListedJob] = []
        searched = 0
        while searched < SEARCHED_JOBS and (jobs := self._listed(name, state, searched, PAGE_JOBS)):
            searched += len(jobs)
            found += [job for job in jobs if text in job.id or text in job.name or text in (job.error or "")]
        return JobPage(found[:PAGE_JOBS], len(found) > PAGE_JOBS or searched >= SEARCHED_JOBS, searched)

    def job(self, name: str, identity: str) -> JobDetails:
        """A job with its arguments.

        Raises:
            InvalidJobError: The id can't be one, or the queue was never used.
        """
        ((checked,),) = batched_ids([identity])
        call = self._protocol(name).job(checked)
        answer = self._run(lambda connection: connection.run(call.script, call.keys, call.arguments))
        header, _, payload = (answer[1] or b"").partition(b"\n")
        created = header.split(b" ")[1:2]
        is_number = bool(created) and created[0].isdigit()
        return JobDetails(call.read(answer), json_value(payload), int(created[0]) / 1000 if is_number else None)

    def change(self, name: str, action: str, identities: Sequence[str]) -> str:
        """Change a queue or its jobs; returns what was done.

        Args:
            name: Name of the queue.
            action: An `Action`.
            identities: Ids of jobs; for `run`, names of schedules.

        Raises:
            InvalidJobError: The action or an id can't be used, or the queue was never used.
        """
        calls = self._protocol(name)
        if action not in get_args(Action):
            raise InvalidJobError(f"{shown(action)} is not one of {', '.join(get_args(Action))}", fix="use the page")
        if action in {"pause", "resume"}:
            self._ask(calls.pause(action == "pause"))
            return "paused" if action == "pause" else "resumed"
        batches = batched_ids(identities)
        if action == "run":
            number = self._run_schedules(calls, {identity for batch in batches for identity in batch})
            return f"added {number} of {len(identities)}"
        if action == "requeue":
            number = sum(self._ask(calls.requeue(batch)) for batch in batches)
            return f"requeued {number} of {len(identities)}"
        states = [self._ask(calls.cancel(identity)) for batch in batches for identity in batch]
        return f"cancelled {sum(state != 'missing' for state in states)} of {len(identities)}"

    def _run_schedules(self, calls: QueueProtocol, names: set[str]) -> int:
        """Add the jobs of schedules now; their next times stay."""
        due = [one for one in self._ask(calls.schedules()) if one.name in names]
        schedules = [Schedule.deserialize(one.name, one.serialized) for one in due]
        for schedule in schedules:
            self._ask(calls.add(JobRequest(schedule.spec, schedule.payload)))
        return len(schedules)

    def _listed(self, name: str, state: StoredState, skip: int, number: int) -> list[ListedJob]:
        return self._ask(self._protocol(name).jobs(state, skip, number)).jobs

    def _protocol(self, name: str) -> QueueProtocol:
        """The calls of a queue. A name in a URL must not create one."""
        with self._lock:
            known = self._protocols.get(name)
        if known is not None:
            return known
        calls = QueueProtocol(name)
        if not self._run(lambda connection: connection.send("SISMEMBER", REGISTRY_KEY, name)):
            raise InvalidJobError(f"no queue named {name!r} has been used on this server", fix="valkeykit queue")
        with self._lock:
            self._protocols[name] = calls
            if len(self._protocols) > _KNOWN_QUEUES:
                self._protocols.popitem(last=False)
        return calls

    def _ask(self, call: ScriptCall[T]) -> T:
        return self._run(lambda connection: ask(connection, call))

    def _run(self, action: Callable[[FastConnection], T]) -> T:
        """Every call may be sent twice: a server that was restarted ends connections that were idle."""
        with translate_errors():
            try:
                return action(self._connected())
            except (ConnectionLostError, ResponseTimeoutError):
                return action(self._connected())

    def _connected(self) -> FastConnection:
        with self._lock:
            if self._connection is None:
                self._connection = FastConnection(open_client(self._settings))
            return self._connection
