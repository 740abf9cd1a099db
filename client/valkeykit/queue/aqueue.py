"""Queue for asyncio: the same names and arguments, which are described there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoPermissionError, ResponseError

from valkeykit.aconnection import open_async_client
from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.fast_connection import AsyncFastConnection
from valkeykit.lazy_connection import AsyncLazyConnection
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


class AsyncQueue(QueueBase):
    """A job queue on the server, for asyncio. Arguments, results and errors are those of Queue."""

    _connection_type = AsyncLazyConnection
    _lazy: AsyncLazyConnection

    async def add(
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
        """As Queue.add."""
        description = self.build_request(job, arguments, delay, at, id, key, key_ttl, options)
        if self.eager is not None:
            return await asyncio.to_thread(self.eager.add, description)
        return await self.send(self.protocol.add(description))

    async def add_many(
        self,
        job: str | Callable[..., Any],
        argument_sets: Iterable[Mapping[str, Any] | None],
        *,
        delay: float = 0,
        at: datetime | None = None,
        **options: Unpack[JobOptions],
    ) -> list[str]:
        """As Queue.add_many."""
        descriptions = self.build_requests(job, argument_sets, delay, at, options)
        if self.eager is not None:
            return [(await asyncio.to_thread(self.eager.add, description)).id for description in descriptions]
        identities: list[str] = []
        for call in self.protocol.add_many(descriptions):
            identities += await self.send(call)
        return identities

    async def schedule(
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
        """As Queue.schedule."""
        schedule = self.build_schedule(job, arguments, name, cron, every, zone, overlap, options)
        if self.eager is not None:
            return self.eager.schedule(schedule)
        return await self.send(self.protocol.schedule(schedule, await self.send(self.protocol.now())))

    async def schedules(self) -> list[Schedule]:
        """As Queue.schedules."""
        if self.eager is not None:
            return self.eager.schedules()
        listed: list[Schedule] = []
        while page := await self.send(self.protocol.schedules(len(listed))):
            listed += [Schedule.listed(due.name, due.serialized, due.at) for due in page]
        return listed

    async def unschedule(self, name: str) -> bool:
        """As Queue.unschedule."""
        check_word("the schedule's name", name)
        if self.eager is not None:
            return self.eager.unschedule(name)
        return await self.send(self.protocol.unschedule(name))

    async def job(self, id: str) -> JobState:  # noqa: A002
        """As Queue.job."""
        check_word("id", id)
        return self.eager.state(id) if self.eager is not None else await self.send(self.protocol.job(id))

    async def result(self, id: str, *, timeout: float = 10) -> Any:  # noqa: A002
        """As Queue.result."""
        looks = retry.poll_intervals(timeout)
        state = await self.job(id)
        for pause in looks:
            if responses.is_finished(state):
                break
            await asyncio.sleep(pause)
            state = await self.job(id)
        return responses.result_of(state)

    async def cancel(self, id: str) -> str:  # noqa: A002
        """As Queue.cancel."""
        check_word("id", id)
        return self.eager.cancel(id) if self.eager is not None else await self.send(self.protocol.cancel(id))

    async def pause(self) -> None:
        """As Queue.pause."""
        if self.eager is not None:
            self.eager.paused = True
        else:
            await self.send(self.protocol.pause(True))

    async def resume(self) -> None:
        """As Queue.resume."""
        if self.eager is not None:
            self.eager.paused = False
        else:
            await self.send(self.protocol.pause(False))

    async def limit(self, jobs: int, per: float = 1.0) -> None:
        """As Queue.limit."""
        period = milliseconds("per", per, least=0.001)
        check_count("jobs", jobs)
        if self.eager is None:
            await self.send(self.protocol.limit(jobs, period))

    async def limit_dead_letters(self, count: int | None = None, age: float | None = None) -> None:
        """As Queue.limit_dead_letters."""
        number = None if count is None else check_count("count", count)
        seconds = None if age is None else milliseconds("age", age, least=1)
        if self.eager is None:
            await self.send(self.protocol.limit_dead_letters(number, seconds))

    async def statistics(self) -> QueueStatistics:
        """As Queue.statistics."""
        return self.eager.statistics() if self.eager is not None else await self.send(self.protocol.statistics())

    async def jobs(self, state: StoredState, limit: int = 100, skip: int = 0) -> list[ListedJob]:
        """As Queue.jobs."""
        left, listed = check_listing(state, limit, skip), list[ListedJob]()
        while left > 0:
            page = await self.send(self.protocol.jobs(state, skip + len(listed), left))
            listed += page.jobs
            left = limit - len(listed) if page.jobs else 0
        return listed

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """As Queue.dead_letters."""
        if self.eager is not None:
            return self.eager.dead_letters(check_count("limit", limit))
        return [dead_letter(job) for job in await self.jobs("dead", limit)]

    async def purge(self, state: StoredState) -> int:
        """As Queue.purge."""
        deleted = 0
        while number := await self.send(self.protocol.purge(check_purge(state))):
            deleted += number
        return deleted

    async def workers(self) -> list[WorkerState]:
        """As Queue.workers."""
        return await self.send(self.protocol.workers())

    async def requeue(self, ids: Sequence[str]) -> int:
        """As Queue.requeue."""
        batches = batched_ids(ids)
        if self.eager is not None:
            return await asyncio.to_thread(self.eager.requeue, ids)
        return sum([await self.send(self.protocol.requeue(batch)) for batch in batches])

    async def check(self) -> None:
        """As Queue.check."""
        if self.eager is None:
            await self._with_retries(lambda: self._lazy.open(self._connect))

    async def close(self) -> None:
        """As Queue.close."""
        await self._lazy.close()

    async def __aenter__(self) -> AsyncQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for_wake(self, seconds: float) -> None:
        """Block until something may be there to take, `seconds` at most. What redis-py raises comes through."""
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        await connection.send("BLPOP", self.protocol.wake_key, seconds)

    async def send(self, call: ScriptCall[T]) -> T:
        """Send a call, again where that may help."""
        return call.read(await self._with_retries(lambda: self._run(call)))

    async def _with_retries(self, action: Callable[[], Awaitable[T]]) -> T:
        left = None
        while True:
            try:
                return await action()
            except REDIS_ERRORS as error:
                left = left or backoff(self.retry_for)
                pause = next(left, None) if is_transient(error) else None
                if pause is None:
                    raise translate_error(error) from error
                await asyncio.sleep(pause)

    async def _run(self, call: ScriptCall[Any]) -> Any:
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        return await connection.run(call.script, call.keys, call.arguments)

    async def _connect(self) -> AsyncFastConnection:
        if self.eager is not None:
            raise no_server()
        client = await open_async_client(self.settings(), require_topology=True)
        try:
            server, memory = await client.info("server"), await client.info("memory")
            server_checks.verify_server(server, memory, allow_eviction=self.allow_eviction)
        except NoPermissionError:
            pass  # this user may not run INFO, so the server can't be checked
        except BaseException:
            await client.aclose()
            raise
        connection = AsyncFastConnection(client)
        with suppress(ResponseError):  # as Queue has it
            await connection.send("SADD", REGISTRY_KEY, self.name)
        return connection
