"""Where jobs run: concurrency is restored whatever a handler does, and each job has a context of its own."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest
from valkeykit import Queue, current_job, errors
from valkeykit.queue import JobFilter
from valkeykit.queue.handlers import Handler
from valkeykit.queue.job import Job
from valkeykit.queue.job_options import JobOptions, JobSpec
from valkeykit.queue.worker import leases
from valkeykit.queue.worker.job_executor import JobExecutor

from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled

_user: ContextVar[str] = ContextVar("user", default="none")


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapper


class Later:
    """An awaitable that is neither a coroutine nor a future."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from asyncio.sleep(0.01).__await__()
        return self.value


async def double(n: int) -> int:
    await asyncio.sleep(0.01)
    return n * 2


def count(n: int) -> Generator[int, None, int]:
    yield n
    return n * 2


class Callable_:  # noqa: N801
    def __call__(self, n: int) -> int:
        return n * 2

    def method(self, n: int) -> int:
        return n * 2

    @classmethod
    def of_class(cls, n: int) -> int:
        return n * 2

    @staticmethod
    def static(n: int) -> int:
        return n * 2


class AsyncCallable:
    async def __call__(self, n: int) -> int:
        return await double(n)


@pytest.mark.parametrize(
    "function",
    [
        double,
        plain(double),
        functools.partial(double),
        functools.partial(plain(double)),
        lambda n: Later(n * 2),
        lambda n: asyncio.run(double(n)),
        count,
        plain(count),
        Callable_(),
        Callable_().method,
        Callable_.of_class,
        Callable_.static,
        AsyncCallable(),
    ],
)
def test_whatever_can_be_called_runs_to_its_end(queue: Queue, function: Callable[..., Any]) -> None:
    queue.handler(name="double", result_ttl=60)(function)
    with running_worker(queue):
        assert queue.result(queue.add("double", {"n": 4}).id) == 8


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_asynchronous_generators_run_to_their_end(queue: Queue, is_wrapped: bool) -> None:
    steps: list[int] = []

    async def walk(n: int) -> AsyncIterator[int]:
        for step in range(n):
            await asyncio.sleep(0)
            steps.append(step)
            yield step

    queue.handler(name="walk")(plain(walk) if is_wrapped else walk)
    with running_worker(queue):
        queue.add("walk", {"n": 3})
        wait_until(lambda: queue.statistics().completed == 1)
    assert steps == [0, 1, 2]


def test_an_error_in_a_wrapped_coroutine_fails_its_job(queue: Queue) -> None:
    @queue.handler(attempts=1)
    @plain
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with running_worker(queue):
        job = queue.add("fail").id
        wait_until(lambda: queue.statistics().dead == 1)
    assert queue.job(job).error == "ValueError: no"


def test_a_cancelled_error_that_is_the_handlers_own_fails_its_job(queue: Queue) -> None:
    @queue.handler(attempts=1)
    async def await_a_cancelled_task() -> None:
        task = asyncio.create_task(asyncio.sleep(30))
        await asyncio.sleep(0)
        task.cancel()
        await task

    @queue.handler(attempts=1)
    def raise_it() -> None:
        raise asyncio.CancelledError

    queue.handler(name="fine", result_ttl=60)(lambda: 1)
    with running_worker(queue, concurrency=1):
        queue.add(await_a_cancelled_task)
        queue.add(raise_it)
        assert queue.result(queue.add("fine").id) == 1
        wait_until(lambda: queue.statistics().dead == 2)
    assert {letter.error for letter in queue.dead_letters()} == {"CancelledError: "}


@pytest.mark.parametrize("waits", [False, True])
def test_a_coroutine_that_cancels_its_own_task_does_not_hit_the_next_job(queue: Queue, waits: bool) -> None:
    @queue.handler(attempts=1)
    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)

    @queue.handler(attempts=1)
    async def fine() -> None:
        await asyncio.sleep(0.001)

    with running_worker(queue, concurrency=1):
        for _ in range(10):
            queue.add(cancel_itself)
            queue.add(fine)
        wait_until(lambda: settled(queue))
    counts = queue.statistics()
    assert (counts.completed, counts.dead) == ((10, 10) if waits else (20, 0))


def test_a_coroutine_may_use_timeouts_and_cancel_what_it_began(queue: Queue) -> None:
    @queue.handler(result_ttl=60)
    async def give_up() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(30), 0.01)
        except asyncio.TimeoutError:
            return "gave up"
        return "waited"

    with running_worker(queue, concurrency=1):
        assert [queue.result(queue.add(give_up).id) for _ in range(3)] == ["gave up"] * 3


@pytest.mark.parametrize("kind", ["function", "coroutine", "awaitable"])
def test_what_a_job_sets_in_its_context_is_not_seen_by_the_next(queue: Queue, kind: str) -> None:
    seen: list[str] = []

    def see(user: str) -> None:
        seen.append(_user.get())
        _user.set(user)

    async def see_async(user: str) -> None:
        see(user)
        await asyncio.sleep(0)
        assert _user.get() == user
        assert current_job().arguments == {"user": user}

    async def see_later(user: str) -> None:
        assert _user.get() == user
        await asyncio.sleep(0)
        assert _user.get() == user

    def see_awaitable(user: str) -> Any:
        see(user)
        return see_later(user)

    handlers = {"function": see, "coroutine": see_async, "awaitable": see_awaitable}
    queue.handler(name="see", attempts=1)(handlers[kind])
    with running_worker(queue, concurrency=2):
        queue.add_many("see", [{"user": f"user-{n}"} for n in range(30)])
        wait_until(lambda: settled(queue))
    assert seen == ["none"] * 30
    assert queue.statistics().completed == 30


def test_log_records_name_the_job_that_wrote_them(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(JobFilter())
    caplog.set_level(logging.INFO, "app")
    logging.getLogger("app").info("outside")

    @queue.handler
    async def note() -> None:
        logging.getLogger("app").info("coroutine")

    @queue.handler
    def note_too() -> None:
        logging.getLogger("app").info("function")

    with running_worker(queue):
        jobs = {"coroutine": queue.add(note).id, "function": queue.add(note_too).id, "outside": "-"}
        wait_until(lambda: settled(queue))
    fields = {record.getMessage(): vars(record) for record in caplog.records if record.name == "app"}
    assert {text: record["job_id"] for text, record in fields.items()} == jobs
    about = ("job_name", "queue", "attempt")
    assert [fields["function"][name] for name in about] == ["note_too", "mail", 1]
    assert [fields["outside"][name] for name in about] == ["-", "-", "-"]


def test_an_abandoned_function_frees_its_slot_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread takes no further job when it comes back, since another one is in its place."""
    monkeypatch.setattr(leases, "INTERRUPT_GRACE_SECONDS", 0.1)
    go_on = threading.Event()

    async def serve() -> tuple[int, int, int]:
        most = 0
        executor = JobExecutor(1, on_finished=lambda: None)
        stuck = Job(b"stuck", 1, JobSpec("wait"), b"{}", Handler("wait", go_on.wait, False, JobOptions()))
        executor.submit([stuck])
        while stuck.thread is None:
            await asyncio.sleep(0.01)
        executor.interrupt(stuck, "cancelled")
        executor.abandon(stuck)
        assert executor.busy == 0
        lock = threading.Lock()
        at_once = 0

        def work() -> None:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.005)
            with lock:
                at_once -= 1

        handler = Handler("work", work, False, JobOptions())
        go_on.set()
        executor.submit([Job(b"%d" % n, 1, JobSpec("work"), b"{}", handler) for n in range(60)])
        while not executor.is_idle:
            await asyncio.sleep(0.01)
        executor.submit([Job(b"%d" % n, 1, JobSpec("work"), b"{}", handler) for n in range(20)])
        while not executor.is_idle:
            await asyncio.sleep(0.01)
        executor.close()
        return most, executor.busy, len(executor.outcomes)

    assert asyncio.run(asyncio.wait_for(serve(), 60)) == (1, 0, 81)


def test_a_job_outside_of_a_worker_is_none() -> None:
    with pytest.raises(LookupError):
        current_job()
    assert issubclass(errors.CancelledJobError, errors.JobError)
