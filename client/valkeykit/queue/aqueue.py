"""The queue for asyncio, with the names and arguments of Queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from valkeykit.effects import run_effects_async
from valkeykit.fast_connection import AsyncFastConnection
from valkeykit.lazy_connection import AsyncLazyConnection
from valkeykit.queue.activity import FinishedJob, Minute, WorkerState
from valkeykit.queue.connections import open_async_connection
from valkeykit.queue.job_options import JobOptions
from valkeykit.queue.operations import EagerCall, Effects, QueueOperations, Request
from valkeykit.queue.protocol import ScriptCall
from valkeykit.queue.responses import Added, DeadLetter, JobState, ListedJob, QueueStatistics
from valkeykit.queue.schedule import Schedule
from valkeykit.vocabulary import StoredState

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class AsyncQueue(QueueOperations):
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
        return await self._run_effects(self._add(job, arguments, delay, at, id, key, key_ttl, options))

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
        return await self._run_effects(self._add_many(job, argument_sets, delay, at, options))

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
        return await self._run_effects(self._schedule(schedule))

    async def schedules(self) -> list[Schedule]:
        """As Queue.schedules."""
        return await self._run_effects(self._schedules())

    async def unschedule(self, name: str) -> bool:
        """As Queue.unschedule."""
        return await self._run_effects(self._unschedule(name))

    async def job(self, id: str) -> JobState:  # noqa: A002
        """As Queue.job."""
        return await self._run_effects(self._job(id))

    async def result(self, id: str, *, timeout: float = 10) -> Any:  # noqa: A002
        """As Queue.result."""
        return await self._run_effects(self._result(id, timeout))

    async def cancel(self, id: str) -> str:  # noqa: A002
        """As Queue.cancel."""
        return await self._run_effects(self._cancel(id))

    async def pause(self) -> None:
        """As Queue.pause."""
        await self._run_effects(self._set_paused(True))

    async def resume(self) -> None:
        """As Queue.resume."""
        await self._run_effects(self._set_paused(False))

    async def limit(self, jobs: int, per: float = 1.0) -> None:
        """As Queue.limit."""
        await self._run_effects(self._limit(jobs, per))

    async def limit_dead_letters(self, count: int | None = None, age: float | None = None) -> None:
        """As Queue.limit_dead_letters."""
        await self._run_effects(self._limit_dead_letters(count, age))

    async def statistics(self) -> QueueStatistics:
        """As Queue.statistics."""
        return await self._run_effects(self._statistics())

    async def jobs(self, state: StoredState, limit: int = 100, skip: int = 0) -> list[ListedJob]:
        """As Queue.jobs."""
        return await self._run_effects(self._jobs(state, limit, skip))

    async def recent(self, limit: int = 100, skip: int = 0) -> list[FinishedJob]:
        """As Queue.recent."""
        return await self._run_effects(self._recent(limit, skip))

    async def history(self) -> list[Minute]:
        """As Queue.history."""
        return await self._run_effects(self._history())

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """As Queue.dead_letters."""
        return await self._run_effects(self._dead_letters(limit))

    async def purge(self, state: StoredState) -> int:
        """As Queue.purge."""
        return await self._run_effects(self._purge(state))

    async def workers(self) -> list[WorkerState]:
        """As Queue.workers."""
        return await self.send(self.protocol.workers())

    async def requeue(self, ids: Sequence[str]) -> int:
        """As Queue.requeue."""
        return await self._run_effects(self._requeue(ids))

    async def check(self) -> None:
        """As Queue.check."""
        await self._run_effects(self._check())

    async def close(self) -> None:
        """As Queue.close."""
        await self._lazy.close()

    async def __aenter__(self) -> AsyncQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for_wake(self, seconds: float) -> None:
        """Block until a job may be available, for `seconds` at most. Exceptions of redis-py are not translated."""
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        await connection.send("BLPOP", self.protocol.wake_key, seconds)

    async def send(self, call: ScriptCall[T]) -> T:
        """As Queue.send."""
        return await self._run_effects(self._send(call))

    def _run_effects(self, effects: Effects[T]) -> Coroutine[Any, Any, T]:
        return run_effects_async(effects, self._perform)

    async def _perform(self, request: Request) -> Any:
        if isinstance(request, ScriptCall):
            return await self._run(request)
        if isinstance(request, EagerCall):
            return await asyncio.to_thread(request.function)
        return await self._lazy.open(self._connect)

    async def _run(self, call: ScriptCall[Any]) -> Any:
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        return await connection.run(call.script, call.keys, call.arguments)

    async def _connect(self) -> AsyncFastConnection:
        return await open_async_connection(self)
