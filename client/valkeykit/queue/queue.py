"""The queue as producers and operators use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoPermissionError, ResponseError

from valkeykit.connection import open_client
from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.fast_connection import FastConnection
from valkeykit.lazy_connection import LazyConnection
from valkeykit.queue import responses, retry, server_checks
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.options import JobOptions, check_count, check_word, milliseconds
from valkeykit.queue.protocol import ScriptCall, batched_ids, check_listing, check_purge
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, QueueStatistics, WorkerState, dead_letter
from valkeykit.queue.retry import backoff, is_transient
from valkeykit.queue.schedule import Schedule
from valkeykit.queue.schema import REGISTRY_KEY
from valkeykit.vocabulary import StoredState

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Queue(QueueBase):
    """A job queue on the server.

    Nothing is sent before the first call. Each method raises UnreachableError, RefusedError
    or one of their kind where the server can't do it; no call takes effect twice.
    """

    _connection_type = LazyConnection
    _lazy: LazyConnection

    def add(
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        *,
        delay: float = 0,
        at: datetime | None = None,
        id: str | None = None,  # noqa: A002  (what it is)
        key: str | None = None,
        key_ttl: float = 60,
        **options: Unpack[JobOptions],
    ) -> Added:
        """Add a job.

        job: its name, or its handler.
        arguments: what the handler is called with; JSON values by name.
        delay: seconds until it may run.
        at: the moment when it may run, with a time zone, in place of a delay.
        id: at most one job of an id exists, until it is done and its result has expired.
        key: at most one job of a key is added within `key_ttl` seconds.
        options: see JobOptions.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        description = self.build_request(job, arguments, delay, at, id, key, key_ttl, options)
        return self.eager.add(description) if self.eager is not None else self.send(self.protocol.add(description))

    def add_many(
        self,
        job: str | Callable[..., Any],
        many: Iterable[Mapping[str, Any] | None],
        *,
        delay: float = 0,
        at: datetime | None = None,
        **options: Unpack[JobOptions],
    ) -> list[str]:
        """Add a job for each of many arguments; returns their ids. A batch of 500 is one round trip.

        Raises:
            InvalidJobError: an argument can't be used; the batches before it are added.
        """
        descriptions = self.build_requests(job, many, delay, at, options)
        if self.eager is not None:
            return [self.eager.add(description).id for description in descriptions]
        identities: list[str] = []
        for call in self.protocol.add_many(descriptions):
            identities += self.send(call)
        return identities

    def schedule(
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        cron: str | None = None,
        every: float | None = None,
        zone: str = "UTC",
        overlap: bool = True,
        **options: Unpack[JobOptions],
    ) -> bool:
        """Add a job again and again, by a cron expression or every so many seconds.

        name: of the schedule, the job's by default; a schedule of the same name is replaced.
        zone: the time zone of the cron expression.
        overlap: whether a job is added while the one before it isn't done.

        Returns whether that changed something. Raises InvalidJobError where an argument can't be used.
        """
        schedule = self.build_schedule(job, arguments, name, cron, every, zone, overlap, options)
        if self.eager is not None:
            return self.eager.schedule(schedule)
        return self.send(self.protocol.schedule(schedule, self.send(self.protocol.now())))

    def schedules(self) -> list[Schedule]:
        """The schedules, in the order of their next time."""
        if self.eager is not None:
            return self.eager.schedules()
        listed: list[Schedule] = []
        while page := self.send(self.protocol.schedules(len(listed))):
            listed += [Schedule.listed(due.name, due.serialized, due.at) for due in page]
        return listed

    def unschedule(self, name: str) -> bool:
        """End a schedule; False where there was none."""
        check_word("the schedule's name", name)
        if self.eager is not None:
            return self.eager.unschedule(name)
        return self.send(self.protocol.unschedule(name))

    def job(self, id: str) -> JobState:  # noqa: A002
        """The state of a job."""
        check_word("id", id)
        return self.eager.state(id) if self.eager is not None else self.send(self.protocol.job(id))

    def result(self, id: str, *, timeout: float = 10) -> Any:  # noqa: A002
        """Wait for a job's result, `timeout` seconds at most. It must have been added with a result_ttl.

        Raises:
            JobFailedError: it is a dead letter.
            OperationTimeoutError: it isn't done.
            InvalidJobError: it is unknown: it kept no result, was cancelled or never added.
        """
        looks = retry.poll_intervals(timeout)
        state = self.job(id)
        for pause in looks:
            if responses.is_finished(state):
                break
            time.sleep(pause)
            state = self.job(id)
        return responses.result_of(state)

    def cancel(self, id: str) -> str:  # noqa: A002
        """Cancel a job; returns what it was: waiting, delayed, active, dead or missing.

        A waiting one is searched in its line, which takes the server up to 40 ms for a million jobs.
        An active one is interrupted when its worker next renews the lease, within seconds.
        """
        check_word("id", id)
        return self.eager.cancel(id) if self.eager is not None else self.send(self.protocol.cancel(id))

    def pause(self) -> None:
        """Let no worker take jobs; those that run continue."""
        if self.eager is not None:
            self.eager.paused = True
        else:
            self.send(self.protocol.pause(True))

    def resume(self) -> None:
        """End a pause."""
        if self.eager is not None:
            self.eager.paused = False
        else:
            self.send(self.protocol.pause(False))

    def limit(self, jobs: int, per: float = 1.0) -> None:
        """Let at most `jobs` start in any `per` seconds, over all workers. 0 jobs = no limit."""
        period = milliseconds("per", per, least=0.001)
        check_count("jobs", jobs)
        if self.eager is None:
            self.send(self.protocol.limit(jobs, period))

    def limit_dead_letters(self, count: int | None = None, age: float | None = None) -> None:
        """Keep only the latest dead letters; without a limit all are kept. Older ones go when another one is added.

        Args:
            count: how many are kept; None for any number.
            age: seconds that one is kept; None for no limit.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        number = None if count is None else check_count("count", count)
        seconds = None if age is None else milliseconds("age", age, least=1)
        if self.eager is None:
            self.send(self.protocol.limit_dead_letters(number, seconds))

    def statistics(self) -> QueueStatistics:
        """Counts of the queue now and since it began."""
        return self.eager.statistics() if self.eager is not None else self.send(self.protocol.statistics())

    def jobs(self, state: StoredState, limit: int = 100, skip: int = 0) -> list[ListedJob]:
        """Jobs in a state: waiting, delayed, active or dead; dead ones the latest first, the others in their order.

        Args:
            state: where to look.
            limit: how many at most.
            skip: how many to pass over.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        left, listed = check_listing(state, limit, skip), list[ListedJob]()
        while left > 0:
            page = self.send(self.protocol.jobs(state, skip + len(listed), left))
            listed += page.jobs
            left = limit - len(listed) if page.jobs else 0
        return listed

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Dead letters, the latest first."""
        if self.eager is not None:
            return self.eager.dead_letters(check_count("limit", limit))
        return [dead_letter(job) for job in self.jobs("dead", limit)]

    def purge(self, state: StoredState) -> int:
        """Delete all jobs that are waiting, delayed or dead; returns how many. An active one is cancelled by `cancel`.

        Raises:
            InvalidJobError: the state is another one.
        """
        deleted = 0
        while number := self.send(self.protocol.purge(check_purge(state))):
            deleted += number
        return deleted

    def workers(self) -> list[WorkerState]:
        """Workers that reported within an hour, the latest first. Each reports six times per lease."""
        return self.send(self.protocol.workers())

    def requeue(self, ids: Sequence[str]) -> int:
        """Give dead letters all their attempts again; returns how many there were."""
        batches = batched_ids(ids)
        if self.eager is not None:
            return self.eager.requeue(ids)
        return sum(self.send(self.protocol.requeue(batch)) for batch in batches)

    def check(self) -> None:
        """Check that the server suits a queue; done before the first call too.

        Raises:
            UnsupportedServerError: it isn't Valkey, is older than 7.2, or evicts jobs.
        """
        if self.eager is None:
            self._with_retries(lambda: self._lazy.open(self._connect))

    def close(self) -> None:
        """Close the connections; a further call opens them again."""
        self._lazy.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, call: ScriptCall[T]) -> T:
        """Send a call, again where that may help."""
        return call.read(self._with_retries(lambda: self._run(call)))

    def _with_retries(self, action: Callable[[], T]) -> T:
        left = None
        while True:
            try:
                return action()
            except REDIS_ERRORS as error:
                left = left or backoff(self.retry_for)
                pause = next(left, None) if is_transient(error) else None
                if pause is None:
                    raise translate_error(error) from error
                time.sleep(pause)

    def _run(self, call: ScriptCall[Any]) -> Any:
        connection = self._lazy.connection or self._lazy.open(self._connect)
        return connection.run(call.script, call.keys, call.arguments)

    def _connect(self) -> FastConnection:
        if self.eager is not None:
            raise no_server()
        client = open_client(self.settings(), require_topology=True)
        try:
            server_checks.verify_server(
                client.info("server"), client.info("memory"), allow_eviction=self.allow_eviction
            )
        except NoPermissionError:
            pass  # this user may not run INFO, so the server can't be checked
        except BaseException:
            client.close()
            raise
        connection = FastConnection(client)
        with suppress(ResponseError):  # a user without this right, a full server: the queue is only not listed
            connection.send("SADD", REGISTRY_KEY, self.name)
        return connection
