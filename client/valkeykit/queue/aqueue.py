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
    """A job queue on the server, for asyncio. Options, results and errors are those of Queue."""

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
        """Add a job.

        Args:
            job: Its name, or its handler.
            arguments: Keyword arguments of the handler, JSON values.
            delay: Seconds until it may run.
            at: The time at which it may run, with a time zone, instead of a delay.
            id: At most one job of an id exists, until it is done and its result has expired. Random by default.
            key: At most one job of a key is added within `key_ttl` seconds.
            key_ttl: Seconds, see `key`.
            **options: See JobOptions.

        Returns:
            The job's id, and whether it is new.

        Raises:
            InvalidJobError: An argument can't be used.
        """
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
        """Add a job for each of many arguments. A batch of 500 takes one round trip.

        Args:
            job: Name or handler of the jobs.
            argument_sets: The arguments of each job.
            delay: Seconds until they may run.
            at: The time at which they may run, with a time zone, instead of a delay.
            **options: See JobOptions.

        Returns:
            The ids of the jobs.

        Raises:
            InvalidJobError: An argument can't be used; the batches before it are added.
        """
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
        """Add a job repeatedly: at the times of a cron expression, or at an interval.

        Args:
            job: Its name, or its handler.
            arguments: Keyword arguments of the handler, JSON values.
            name: Name of the schedule, by default the job's. A schedule of the same name is replaced.
            cron: Five fields, such as `0 3 * * *`, or a macro such as `@daily`.
            every: The interval in seconds, instead of `cron`; counted from the epoch.
            zone: Time zone of the cron expression.
            overlap: Whether a job is added while the previous one isn't done.
            **options: See JobOptions.

        Returns:
            Whether the schedule is new or changed.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        schedule = self.build_schedule(job, arguments, name, cron, every, zone, overlap, options)
        return await self._run_effects(self._schedule(schedule))

    async def schedules(self) -> list[Schedule]:
        """List the schedules.

        Returns:
            The schedules, in the order of their next time.
        """
        return await self._run_effects(self._schedules())

    async def unschedule(self, name: str) -> bool:
        """Remove a schedule. Jobs that it has added are not affected.

        Args:
            name: Name of the schedule.

        Returns:
            False if there was none.

        Raises:
            InvalidJobError: The name can't be used.
        """
        return await self._run_effects(self._unschedule(name))

    async def job(self, id: str) -> JobState:  # noqa: A002
        """Read the state of a job.

        Args:
            id: The job's id.

        Returns:
            Its state, which is `missing` for an unknown one.

        Raises:
            InvalidJobError: The id can't be used.
        """
        return await self._run_effects(self._job(id))

    async def result(self, id: str, *, timeout: float = 10) -> Any:  # noqa: A002
        """Wait for a job's result. The job must have been added with a result_ttl.

        Args:
            id: The job's id.
            timeout: Seconds to wait, at most.

        Returns:
            What the handler returned, as JSON has it.

        Raises:
            JobFailedError: The job is a dead letter.
            OperationTimeoutError: The job isn't done.
            InvalidJobError: The job is unknown: it kept no result, was cancelled or never added.
        """
        return await self._run_effects(self._result(id, timeout))

    async def cancel(self, id: str) -> str:  # noqa: A002
        """Cancel a job.

        A waiting job is searched in its list, which takes the server up to 40 ms for a million jobs.
        An active one is interrupted when its worker next renews the lease, within seconds.

        Args:
            id: The job's id.

        Returns:
            Its previous state: waiting, delayed, active, dead or missing.

        Raises:
            InvalidJobError: The id can't be used.
        """
        return await self._run_effects(self._cancel(id))

    async def pause(self) -> None:
        """Let no worker take jobs; running ones continue."""
        await self._run_effects(self._set_paused(True))

    async def resume(self) -> None:
        """End a pause."""
        await self._run_effects(self._set_paused(False))

    async def limit(self, jobs: int, per: float = 1.0) -> None:
        """Limit the rate at which jobs start, over all workers.

        Args:
            jobs: Jobs that may start in any period; 0 for no limit.
            per: The period in seconds.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        await self._run_effects(self._limit(jobs, per))

    async def limit_dead_letters(self, count: int | None = None, age: float | None = None) -> None:
        """Limit the dead letters that are kept. Older ones are deleted when another one is added.

        Args:
            count: How many are kept; None for any number.
            age: Seconds for which one is kept; None for no limit.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        await self._run_effects(self._limit_dead_letters(count, age))

    async def statistics(self) -> QueueStatistics:
        """Count the jobs of the queue.

        Returns:
            Counts by state, and totals.
        """
        return await self._run_effects(self._statistics())

    async def jobs(self, state: StoredState, limit: int = 100, skip: int = 0) -> list[ListedJob]:
        """List jobs in a state: dead ones the latest first, the others in their order.

        Args:
            state: `waiting`, `delayed`, `active` or `dead`.
            limit: How many to list, at most.
            skip: How many to skip.

        Returns:
            The jobs.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        return await self._run_effects(self._jobs(state, limit, skip))

    async def recent(self, limit: int = 100, skip: int = 0) -> list[FinishedJob]:
        """List jobs that were completed, the latest first.

        The server keeps at least the latest 1,000 that workers listed. Of jobs that a worker reports together, it lists
        five at most.

        Args:
            limit: How many to list, at most.
            skip: How many to skip.

        Returns:
            The jobs; none where jobs run in this process.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        return await self._run_effects(self._recent(limit, skip))

    async def history(self) -> list[Minute]:
        """Count what happened in each minute of the last hour.

        Returns:
            60 minutes, the oldest first; the last one is still running. None where jobs run in this process.
        """
        return await self._run_effects(self._history())

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters, the latest first.

        Args:
            limit: How many to list, at most.

        Returns:
            The dead letters.

        Raises:
            InvalidJobError: The limit can't be used.
        """
        return await self._run_effects(self._dead_letters(limit))

    async def purge(self, state: StoredState) -> int:
        """Delete all jobs in a state. An active job is cancelled with `cancel`.

        Args:
            state: `waiting`, `delayed` or `dead`.

        Returns:
            How many were deleted.

        Raises:
            InvalidJobError: It is another state.
        """
        return await self._run_effects(self._purge(state))

    async def workers(self) -> list[WorkerState]:
        """List the workers that reported within an hour. A worker reports whenever it renews its leases.

        Returns:
            The workers, the one that reported last first.
        """
        return await self.send(self.protocol.workers())

    async def requeue(self, ids: Sequence[str]) -> int:
        """Run dead letters again, with all their attempts.

        Args:
            ids: Ids of dead letters.

        Returns:
            How many of them were dead letters.

        Raises:
            InvalidJobError: The ids can't be used.
        """
        return await self._run_effects(self._requeue(ids))

    async def check(self) -> None:
        """Check that the server suits a queue; the first call does so too.

        Raises:
            UnsupportedServerError: It isn't Valkey, is older than 7.2, or evicts jobs.
        """
        await self._run_effects(self._check())

    async def close(self) -> None:
        """Close the connections; a further call opens them again."""
        await self._lazy.close()

    async def __aenter__(self) -> AsyncQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for_wake(self, seconds: float) -> None:
        """Block until a job may be available. Exceptions of redis-py are not translated.

        Args:
            seconds: How long to wait, at most.
        """
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        await connection.send("BLPOP", self.protocol.wake_key, seconds)

    async def send(self, call: ScriptCall[T]) -> T:
        """Send a call, and again after a transient error.

        Args:
            call: A call of this queue's `protocol`.

        Returns:
            What the call reads from the server's response.
        """
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
