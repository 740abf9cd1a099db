"""USE_VALKEY_QUEUE=off: handlers run in process, with the results that a server would give."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Generator
from contextvars import ContextVar
from typing import Any

import pytest
from valkeykit import AsyncQueue, Queue, Worker, current_job, errors
from valkeykit.queue import eager
from valkeykit.queue.job_options import MAX_RESULT_BYTES
from valkeykit.queue.responses import JobState

from harness.ports import HOST

NO_SERVER = f"redis://{HOST}:1"
MISSING = ("missing", None, 0, None, None, None)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("USE_VALKEY_QUEUE", "off")
    return Queue("mail", NO_SERVER)


def facts(state: JobState) -> tuple[Any, ...]:
    return (state.state, state.name, state.attempts, state.error, state.progress, state.result)


def test_the_switch_is_true_or_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_VALKEY_QUEUE", "perhaps")
    with pytest.raises(errors.ConfigurationError, match="USE_VALKEY_QUEUE"):
        Queue("mail")


def test_a_handler_gets_its_job_and_reports_progress(queue: Queue) -> None:
    states: list[JobState] = []

    @queue.handler
    def send(to: str) -> None:
        job = current_job()
        assert (job.attempt, job.arguments, job.is_interrupted) == (1, {"to": to}, False)
        assert (job.queue, job.name) == ("mail", "send")
        job.progress({1: ("half",)})
        states.append(queue.job(job.id))
        with pytest.raises(errors.InvalidJobError, match="not JSON"):
            job.progress(object())

    added = queue.add(send, {"to": "a"})
    assert facts(states[0]) == ("active", "send", 1, None, {"1": ["half"]}, None)
    assert facts(queue.job(added.id)) == MISSING
    with pytest.raises(LookupError):
        current_job()


def test_a_result_is_json_and_kept_only_with_a_result_ttl(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    @queue.handler
    def plan() -> dict[int, tuple[int, ...]]:
        return {3: (1, 2)}

    assert queue.result(queue.add(plan, result_ttl=60).id) == {"3": [1, 2]}
    kept = queue.add(plan, id="once", result_ttl=60)
    assert facts(queue.job("once")) == ("completed", None, 0, None, None, {"3": [1, 2]})
    assert queue.add(plan, id="once", result_ttl=60) == (kept.id, False)
    with pytest.raises(errors.InvalidJobError, match="kept no result"):
        queue.result(queue.add(plan).id)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert facts(queue.job("once")) == MISSING
    assert queue.add(plan, id="once").new


@pytest.mark.parametrize("value", [object(), float("nan"), {(1, 2): 3}, "x" * (MAX_RESULT_BYTES + 1)])
def test_a_result_that_a_server_would_not_store_fails_the_job_at_once(queue: Queue, value: object) -> None:
    @queue.handler
    def give() -> object:
        return value

    assert queue.job(queue.add(give).id).state == "missing"  # no result is kept
    state = queue.job(queue.add(give, result_ttl=60).id)
    assert (state.state, state.attempts) == ("dead", 1)
    assert "the result" in str(state.error)


def test_a_key_admits_one_job_in_its_window(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    @queue.handler
    def count() -> None:
        ran.append(1)

    first = queue.add(count, key="daily", key_ttl=60)
    assert queue.add(count, key="daily", key_ttl=60) == (first.id, False)
    assert queue.add(count, key="other").new
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert queue.add(count, key="daily").new
    assert len(ran) == 3


def test_an_id_admits_one_job_until_it_is_done(queue: Queue) -> None:
    inner: list[Any] = []

    @queue.handler
    def recurse() -> None:
        inner.append(queue.add("recurse", id="only"))

    assert queue.add(recurse, id="only").new
    assert queue.add(recurse, id="only").new
    assert inner == [("only", False), ("only", False)]


def test_context_does_not_leak_between_attempts(queue: Queue) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    @queue.handler(attempts=2)
    def fail() -> None:
        seen.append(user.get())
        user.set("somebody")
        raise ValueError

    @queue.handler
    async def pass_on() -> None:
        seen.append(user.get())
        user.set("somebody")

    queue.add(fail)
    queue.add(pass_on)
    assert seen == ["nobody"] * 3
    assert user.get() == "nobody"


def test_whatever_a_function_returns_runs_to_its_end(queue: Queue) -> None:
    ran: list[str] = []

    async def work() -> str:
        await asyncio.sleep(0)
        ran.append(current_job().spec.name)
        return "done"

    @queue.handler
    def awaitable() -> Awaitable[str]:
        return work()

    @queue.handler
    def generator() -> Generator[int, None, str]:
        yield 1
        ran.append("generator")
        return "done"

    @queue.handler
    async def agenerator() -> AsyncIterator[int]:
        yield 1
        ran.append("agenerator")

    assert queue.result(queue.add(awaitable, result_ttl=60).id) == "done"
    assert queue.result(queue.add(generator, result_ttl=60).id) == "done"
    assert queue.result(queue.add(agenerator, result_ttl=60).id) is None
    assert ran == ["awaitable", "generator", "agenerator"]


def test_a_coroutine_over_time_fails(queue: Queue) -> None:
    @queue.handler(attempts=2, timeout=0.01)
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(errors.JobFailedError, match=r"JobTimeoutError: it ran longer than 0\.01 s"):
        queue.result(queue.add(wait).id)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), UnprintableError()])
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_whatever_a_handler_raises_fails_its_job_only(queue: Queue, error: BaseException, kind: str) -> None:
    @queue.handler(attempts=2)
    def function() -> None:
        raise error

    @queue.handler(attempts=2)
    async def coroutine() -> None:
        raise error

    state = queue.job(queue.add(kind).id)
    assert (state.state, state.attempts) == ("dead", 2)
    assert type(error).__name__ in str(state.error)


def test_ctrl_c_ends_the_job_and_comes_through(queue: Queue) -> None:
    @queue.handler
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.add(interrupt, id="a")
    assert facts(queue.job("a"))[:3] == ("dead", "interrupt", 1)


def test_dead_letters_are_counted_listed_requeued_and_cancelled(queue: Queue) -> None:
    broken = True

    @queue.handler(attempts=3)
    def flaky(n: int) -> None:
        if broken:
            raise ValueError(n)

    first, second = (queue.add(flaky, {"n": n}).id for n in (1, 2))
    letters = queue.dead_letters()
    assert [(letter.id, letter.arguments, letter.attempts, letter.error) for letter in letters] == [
        (second, {"n": 2}, 3, "ValueError: 2"),
        (first, {"n": 1}, 3, "ValueError: 1"),
    ]
    assert [letter.id for letter in queue.dead_letters(1)] == [second]
    assert queue.dead_letters(0) == []
    assert queue.requeue([first, "unknown"]) == 1
    assert len(queue.dead_letters()) == 2
    broken = False
    assert queue.requeue([first]) == 1
    assert (queue.cancel(second), queue.cancel(second), queue.cancel(first)) == ("dead", "missing", "missing")
    counts = queue.statistics()
    assert (counts.completed, counts.failed, counts.retried, counts.cancelled, counts.dead) == (1, 3, 6, 1, 0)


def test_a_cancelled_job_is_not_retried(queue: Queue) -> None:
    attempts: list[int] = []

    @queue.handler
    def cancel_itself() -> None:
        job = current_job()
        attempts.append(job.attempt)
        assert queue.cancel(job.id) == "active"
        raise ValueError

    assert facts(queue.job(queue.add(cancel_itself).id)) == MISSING
    assert attempts == [1]
    assert queue.statistics().cancelled == 1


def test_schedules_are_checked_and_listed(queue: Queue) -> None:
    assert queue.schedule("report", cron="0 3 * * *")
    assert not queue.schedule("report", cron="0 3 * * *")
    assert queue.schedule("report", every=60)
    assert queue.schedule("clean", {"days": 3}, every=0.5)
    assert {schedule.name for schedule in queue.schedules()} == {
        "clean",
        "report",
    }  # both may be due at the full minute
    with pytest.raises(errors.InvalidJobError):
        queue.schedule("report", cron="x")
    assert (queue.unschedule("report"), queue.unschedule("report")) == (True, False)


def test_operations_without_a_server_have_no_effect(queue: Queue) -> None:
    queue.check()
    queue.limit(10, per=5)
    with pytest.raises(errors.InvalidJobError):
        queue.limit(10, per=-1)
    queue.pause()
    assert queue.statistics().paused
    queue.resume()
    assert not queue.statistics().paused


def test_a_job_without_a_handler_is_rejected(queue: Queue) -> None:
    with pytest.raises(errors.InvalidJobError, match="no handler for 'unknown'"):
        queue.add("unknown", id="a", key="b")
    queue.handler(name="unknown")(lambda: None)
    assert queue.add("unknown", id="a", key="b").new


def test_a_worker_needs_a_server(queue: Queue) -> None:
    queue.handler(name="idle")(lambda: None)
    with pytest.raises(errors.ConfigurationError, match="USE_VALKEY_QUEUE is off"):
        Worker(queue)


def test_only_so_many_results_and_dead_letters_are_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "MAX_KEPT_JOBS", 2)

    @queue.handler(attempts=1, result_ttl=60)
    def divide(by: int) -> float:
        return 1 / by

    done = queue.add_many(divide, [{"by": 1}] * 3)
    dead = queue.add_many(divide, [{"by": 0}] * 3)
    assert [queue.job(id).state for id in done] == ["missing", "completed", "completed"]  # noqa: A001
    assert [letter.id for letter in queue.dead_letters()] == dead[:0:-1]


def test_one_of_many_threads_runs_a_job_of_an_id(queue: Queue) -> None:
    ready = threading.Barrier(8)

    @queue.handler(result_ttl=60)
    def once() -> None: ...

    new: list[bool] = []

    def add() -> None:
        ready.wait(60)
        new.append(queue.add(once, id="a").new)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 7 + [True]


async def use_all(queue: AsyncQueue) -> None:
    @queue.handler(attempts=1, result_ttl=60)
    async def double(n: int) -> int:
        assert current_job().arguments == {"n": n}
        return n * 2

    added = await queue.add(double, {"n": 4}, key="k")
    assert await queue.result(added.id) == 8
    assert await queue.add(double, {"n": 4}, key="k") == (added.id, False)
    [dead] = await queue.add_many(double, [{"m": 1}])
    assert [letter.id for letter in await queue.dead_letters()] == [dead]
    assert await queue.requeue([dead]) == 1
    assert await queue.cancel(dead) == "dead"
    assert await queue.schedule(double, {"n": 1}, every=60)
    assert [schedule.name for schedule in await queue.schedules()] == ["double"]
    assert await queue.unschedule("double")
    await queue.check()
    await queue.limit(10)
    await queue.pause()
    await queue.resume()
    counts = await queue.statistics()
    assert (counts.completed, counts.failed, counts.cancelled, counts.paused) == (1, 2, 1, False)
    await queue.close()


def test_the_asyncio_queue_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_VALKEY_QUEUE", "off")
    asyncio.run(use_all(AsyncQueue("mail", NO_SERVER)))


def test_a_coroutine_handler_runs_where_a_loop_runs_already(queue: Queue) -> None:
    @queue.handler(result_ttl=60)
    async def double(n: int) -> int:
        return n * len(current_job().arguments) * 2

    async def add() -> Any:
        return queue.result(queue.add(double, {"n": 4}).id)

    assert asyncio.run(add()) == 8
