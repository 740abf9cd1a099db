"""Queue for asyncio: the same names and arguments, which are described there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoPermissionError, ResponseError

from valkeykit.aconnection import open_async_client
from valkeykit.causes import FOREIGN, explain
from valkeykit.channel import AsyncChannel
from valkeykit.lazy import AsyncLazyChannel
from valkeykit.queue import responses, retry, server_checks
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.options import JobOptions, check_count, check_word, milliseconds
from valkeykit.queue.protocol import Call, State, batched_ids, check_listing, check_purge
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, Statistics, WorkerState, dead_letter
from valkeykit.queue.retry import backoff, is_transient
from valkeykit.queue.schedule import Repeat
from valkeykit.queue.schema import REGISTRY

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class AsyncQueue(QueueBase):
    """A job queue on the server, for asyncio. Arguments, answers and errors are those of Queue."""

    _link_type = AsyncLazyChannel
    _link: AsyncLazyChannel

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
        description = self.describe(job, arguments, delay, at, id, key, key_ttl, options)
        if self.local is not None:
            return await asyncio.to_thread(self.local.add, description)
        return await self.send(self.calls.add(description))

    async def add_many(
        self,
        job: str | Callable[..., Any],
        many: Iterable[Mapping[str, Any] | None],
        *,
        delay: float = 0,
        at: datetime | None = None,
        **options: Unpack[JobOptions],
    ) -> list[str]:
        """As Queue.add_many."""
        descriptions = self.describe_many(job, many, delay, at, options)
        if self.local is not None:
            return [(await asyncio.to_thread(self.local.add, description)).id for description in descriptions]
        identities: list[str] = []
        for call in self.calls.add_many(descriptions):
            identities += await self.send(call)
        return identities

    async def repeat(
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
        """As Queue.repeat."""
        repeat = self.describe_repeat(job, arguments, name, cron, every, zone, overlap, options)
        if self.local is not None:
            return self.local.repeat(repeat)
        return await self.send(self.calls.repeat(repeat, await self.send(self.calls.now())))

    async def repeats(self) -> list[Repeat]:
        """As Queue.repeats."""
        if self.local is not None:
            return self.local.repeats()
        listed: list[Repeat] = []
        while page := await self.send(self.calls.repeats(len(listed))):
            listed += [Repeat.listed(due.name, due.plan, due.at) for due in page]
        return listed

    async def stop_repeating(self, name: str) -> bool:
        """As Queue.stop_repeating."""
        check_word("the repeat's name", name)
        if self.local is not None:
            return self.local.stop_repeating(name)
        return await self.send(self.calls.stop_repeating(name))

    async def job(self, id: str) -> JobState:  # noqa: A002
        """As Queue.job."""
        check_word("id", id)
        return self.local.state(id) if self.local is not None else await self.send(self.calls.job(id))

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
        return self.local.cancel(id) if self.local is not None else await self.send(self.calls.cancel(id))

    async def pause(self) -> None:
        """As Queue.pause."""
        if self.local is not None:
            self.local.paused = True
        else:
            await self.send(self.calls.pause(True))

    async def resume(self) -> None:
        """As Queue.resume."""
        if self.local is not None:
            self.local.paused = False
        else:
            await self.send(self.calls.pause(False))

    async def limit(self, jobs: int, per: float = 1.0) -> None:
        """As Queue.limit."""
        period = milliseconds("per", per, least=0.001)
        check_count("jobs", jobs)
        if self.local is None:
            await self.send(self.calls.limit(jobs, period))

    async def limit_dead_letters(self, count: int | None = None, age: float | None = None) -> None:
        """As Queue.limit_dead_letters."""
        number = None if count is None else check_count("count", count)
        seconds = None if age is None else milliseconds("age", age, least=1)
        if self.local is None:
            await self.send(self.calls.limit_dead_letters(number, seconds))

    async def statistics(self) -> Statistics:
        """As Queue.statistics."""
        return self.local.statistics() if self.local is not None else await self.send(self.calls.statistics())

    async def jobs(self, state: State, limit: int = 100, skip: int = 0) -> list[ListedJob]:
        """As Queue.jobs."""
        left, listed = check_listing(state, limit, skip), list[ListedJob]()
        while left > 0:
            page = await self.send(self.calls.jobs(state, skip + len(listed), left))
            listed += page.jobs
            left = limit - len(listed) if page.jobs else 0
        return listed

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """As Queue.dead_letters."""
        if self.local is not None:
            return self.local.dead_letters(check_count("limit", limit))
        return [dead_letter(job) for job in await self.jobs("dead", limit)]

    async def purge(self, state: State) -> int:
        """As Queue.purge."""
        deleted = 0
        while number := await self.send(self.calls.purge(check_purge(state))):
            deleted += number
        return deleted

    async def workers(self) -> list[WorkerState]:
        """As Queue.workers."""
        return await self.send(self.calls.workers())

    async def requeue(self, ids: Sequence[str]) -> int:
        """As Queue.requeue."""
        batches = batched_ids(ids)
        if self.local is not None:
            return await asyncio.to_thread(self.local.requeue, ids)
        return sum([await self.send(self.calls.requeue(batch)) for batch in batches])

    async def check(self) -> None:
        """As Queue.check."""
        if self.local is None:
            await self._patiently(lambda: self._link.open(self._connect))

    async def close(self) -> None:
        """As Queue.close."""
        await self._link.close()

    async def __aenter__(self) -> AsyncQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for_wake(self, seconds: float) -> None:
        """Block until something may be there to take, `seconds` at most. What redis-py raises comes through."""
        channel = self._link.current() or await self._link.open(self._connect)
        await channel.send("BLPOP", self.calls.wake_key, seconds)

    async def send(self, call: Call[T]) -> T:
        """Send a call, again where that may help."""
        return call.read(await self._patiently(lambda: self._run(call)))

    async def _patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        left = None
        while True:
            try:
                return await action()
            except FOREIGN as error:
                left = left or backoff(self.retry_for)
                pause = next(left, None) if is_transient(error) else None
                if pause is None:
                    raise explain(error) from error
                await asyncio.sleep(pause)

    async def _run(self, call: Call[Any]) -> Any:
        channel = self._link.current() or await self._link.open(self._connect)
        return await channel.run(call.script, call.keys, call.arguments)

    async def _connect(self) -> AsyncChannel:
        if self.local is not None:
            raise no_server()
        client = await open_async_client(self.settings(), sure=True)
        try:
            server, memory = await client.info("server"), await client.info("memory")
            server_checks.verify_server(server, memory, allow_eviction=self.allow_eviction)
        except NoPermissionError:
            pass  # this user may not run INFO, so the server can't be checked
        except BaseException:
            await client.aclose()
            raise
        channel = AsyncChannel(client)
        with suppress(ResponseError):  # as Queue has it
            await channel.send("SADD", REGISTRY, self.name)
        return channel
