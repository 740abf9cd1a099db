"""The operations of a queue, as effects that Queue and AsyncQueue run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from valkeykit.effects import Sleep
from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.queue import call_retry, responses
from valkeykit.queue.activity import FinishedJob, Minute
from valkeykit.queue.base import QueueBase
from valkeykit.queue.job_options import JobOptions, JobRequest, check_count, check_word, milliseconds
from valkeykit.queue.protocol import ScriptCall, batched_ids, check_listing, check_purge
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, QueueStatistics, dead_letter
from valkeykit.queue.schedule import Schedule
from valkeykit.vocabulary import StoredState

if TYPE_CHECKING:
    from valkeykit.queue.tracing import Tracing

T = TypeVar("T")


class OpenConnection:
    """A request to connect to the server."""


@dataclass(frozen=True)
class EagerCall:
    """A request to run jobs in this process; asyncio runs them in a thread."""

    function: Callable[[], Any]


Request = ScriptCall[Any] | OpenConnection | EagerCall
Effects = Generator[Request | Sleep, Any, T]
"""An operation of a queue."""


class QueueOperations(QueueBase):
    """What each method of a queue does, and when a call is sent again."""

    def _add(  # noqa: PLR0917  (called by `add` alone)
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None,
        delay: float,
        at: datetime | None,
        identity: str | None,
        key: str | None,
        key_ttl: float,
        options: JobOptions,
    ) -> Effects[Added]:
        request = self.build_request(job, arguments, delay, at, identity, key, key_ttl, options)
        if self.eager is not None:
            return _run_eagerly(partial(self.eager.add, request))
        if self.tracing is not None:
            return self._add_traced(self.tracing, request)
        return self._send(self.protocol.add(request))

    def _add_traced(self, tracing: Tracing, request: JobRequest) -> Effects[Added]:
        with tracing.producing(self.name, request.spec.name) as span:
            added = yield from self._send(self.protocol.add(request._replace(trace=span.trace)))
            span.added(added.id)
        return added

    def _add_many(
        self,
        job: str | Callable[..., Any],
        argument_sets: Iterable[Mapping[str, Any] | None],
        delay: float,
        at: datetime | None,
        options: JobOptions,
    ) -> Effects[list[str]]:
        requests = self.build_requests(job, argument_sets, delay, at, options)
        identities: list[str] = []
        if self.eager is not None:
            for request in requests:
                added = yield EagerCall(partial(self.eager.add, request))
                identities.append(added.id)
        elif self.tracing is not None:
            name = job if isinstance(job, str) else self._name_of(job)
            with self.tracing.producing(self.name, name) as span:
                traced = (request._replace(trace=span.trace) for request in requests)
                identities = yield from self._send_many(traced)
                span.added_many(len(identities))
        else:
            identities = yield from self._send_many(requests)
        return identities

    def _send_many(self, requests: Iterator[JobRequest]) -> Effects[list[str]]:
        identities: list[str] = []
        for call in self.protocol.add_many(requests):
            identities += yield from self._send(call)
        return identities

    def _schedule(self, schedule: Schedule) -> Effects[bool]:
        if self.eager is not None:
            return self.eager.schedule(schedule)
        now = yield from self._send(self.protocol.now())
        return (yield from self._send(self.protocol.schedule(schedule, now)))

    def _schedules(self) -> Effects[list[Schedule]]:
        if self.eager is not None:
            return self.eager.schedules()
        listed: list[Schedule] = []
        while page := (yield from self._send(self.protocol.schedules(len(listed)))):
            listed += [Schedule.listed(due.name, due.serialized, due.at) for due in page]
        return listed

    def _unschedule(self, name: str) -> Effects[bool]:
        check_word("the schedule's name", name)
        if self.eager is not None:
            return self.eager.unschedule(name)
        return (yield from self._send(self.protocol.unschedule(name)))

    def _job(self, identity: str) -> Effects[JobState]:
        check_word("id", identity)
        if self.eager is not None:
            return self.eager.state(identity)
        return (yield from self._send(self.protocol.job(identity)))

    def _result(self, identity: str, timeout: float) -> Effects[Any]:
        pauses = call_retry.poll_intervals(timeout)
        state = yield from self._job(identity)
        for pause in pauses:
            if responses.is_finished(state):
                break
            yield Sleep(pause)
            state = yield from self._job(identity)
        return responses.result_of(state)

    def _cancel(self, identity: str) -> Effects[str]:
        check_word("id", identity)
        if self.eager is not None:
            return self.eager.cancel(identity)
        return (yield from self._send(self.protocol.cancel(identity)))

    def _set_paused(self, paused: bool) -> Effects[None]:
        if self.eager is not None:
            self.eager.paused = paused
        else:
            yield from self._send(self.protocol.pause(paused))

    def _limit(self, jobs: int, per: float) -> Effects[None]:
        period = milliseconds("per", per, least=0.001)
        check_count("jobs", jobs)
        if self.eager is None:
            yield from self._send(self.protocol.limit(jobs, period))

    def _limit_dead_letters(self, count: int | None, age: float | None) -> Effects[None]:
        number = None if count is None else check_count("count", count)
        age_ms = None if age is None else milliseconds("age", age, least=1)
        if self.eager is None:
            yield from self._send(self.protocol.limit_dead_letters(number, age_ms))

    def _statistics(self) -> Effects[QueueStatistics]:
        if self.eager is not None:
            return self.eager.statistics()
        return (yield from self._send(self.protocol.statistics()))

    def _jobs(self, state: StoredState, limit: int, skip: int) -> Effects[list[ListedJob]]:
        left, listed = check_listing(state, limit, skip), list[ListedJob]()
        while left > 0:
            page = yield from self._send(self.protocol.jobs(state, skip + len(listed), left))
            listed += page.jobs
            left = limit - len(listed) if page.jobs else 0
        return listed

    def _recent(self, limit: int, skip: int) -> Effects[list[FinishedJob]]:
        check_count("limit", limit)
        check_count("skip", skip)
        if self.eager is not None or limit == 0:
            return []
        finished = yield from self._send(self.protocol.recent(skip + limit))
        return finished[skip : skip + limit]

    def _history(self) -> Effects[list[Minute]]:
        if self.eager is not None:
            return []
        return (yield from self._send(self.protocol.history()))

    def _dead_letters(self, limit: int) -> Effects[list[DeadLetter]]:
        if self.eager is not None:
            return self.eager.dead_letters(check_count("limit", limit))
        jobs = yield from self._jobs("dead", limit, 0)
        return [dead_letter(job) for job in jobs]

    def _purge(self, state: StoredState) -> Effects[int]:
        deleted = 0
        while number := (yield from self._send(self.protocol.purge(check_purge(state)))):
            deleted += number
        return deleted

    def _requeue(self, identities: Sequence[str]) -> Effects[int]:
        batches = batched_ids(identities)
        if self.eager is not None:
            requeued: int = yield EagerCall(partial(self.eager.requeue, identities))
            return requeued
        number = 0
        for batch in batches:
            number += yield from self._send(self.protocol.requeue(batch))
        return number

    def _check(self) -> Effects[None]:
        if self.eager is None:
            yield from self._with_retries(OpenConnection(), lambda _: None)

    def _send(self, call: ScriptCall[T]) -> Effects[T]:
        return self._with_retries(call, call.read)

    def _with_retries(self, request: Request, read: Callable[[Any], T]) -> Effects[T]:
        pauses = None
        while True:
            try:
                answer = yield request
                break
            except REDIS_ERRORS as error:
                pauses = pauses or call_retry.backoff(self.retry_for)
                pause = next(pauses, None) if call_retry.is_transient(error) else None
                if pause is None:
                    raise translate_error(error) from error
                yield Sleep(pause)
        return read(answer)


def _run_eagerly(function: Callable[[], T]) -> Effects[T]:
    value: T = yield EagerCall(function)
    return value
