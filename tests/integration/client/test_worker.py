"""The worker on a real server: jobs in, outcomes out."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing
from itertools import pairwise

import pytest
from valkeykit import Queue, Worker, current_job, errors
from valkeykit.queue.job_events import Event

from harness.servers import ServerProcess
from harness.waiting import WAIT_SECONDS, wait_until
from tests.integration.client.running_worker import running_worker, settled


def test_functions_and_coroutines_run_with_their_arguments(queue: Queue) -> None:
    @queue.handler(result_ttl=60)
    def add(a: int, b: int) -> int:
        return a + b

    @queue.handler(result_ttl=60)
    async def shout(text: str) -> str:
        await asyncio.sleep(0.01)
        return text.upper()

    with running_worker(queue):
        jobs = queue.add(add, {"a": 1, "b": 2}).id, queue.add("shout", {"text": "hi"}).id
        assert [queue.result(job) for job in jobs] == [3, "HI"]
    assert queue.statistics().completed == 2


def test_many_jobs_each_once(queue: Queue) -> None:
    seen: list[int] = []

    @queue.handler
    def note(n: int) -> None:
        seen.append(n)

    queue.add_many("note", ({"n": n} for n in range(5000)))
    with running_worker(queue):
        wait_until(lambda: settled(queue))
    assert sorted(seen) == list(range(5000))


def test_a_failing_job_is_retried_with_growing_pauses_and_then_set_aside(queue: Queue) -> None:
    times: list[float] = []

    @queue.handler(attempts=3, backoff=0.1)
    def broken() -> None:
        times.append(time.monotonic())
        raise ValueError("no luck")

    with running_worker(queue):
        job = queue.add("broken").id
        wait_until(lambda: queue.statistics().dead == 1)
    first, second = (later - earlier for earlier, later in pairwise(times))
    assert 0.05 <= first < 1  # half of the pause at least; its end wakes the worker
    assert 0.1 <= second < 1
    (letter,) = queue.dead_letters()
    assert (letter.id, letter.attempts, letter.error) == (job, 3, "ValueError: no luck")


def test_anything_a_handler_raises_fails_its_job_only(queue: Queue) -> None:
    @queue.handler(attempts=1)
    def leave() -> None:
        raise SystemExit(3)

    @queue.handler(attempts=1)
    async def leave_async() -> None:
        raise KeyboardInterrupt

    @queue.handler(attempts=1, result_ttl=60)
    def odd() -> object:
        return object()

    @queue.handler(result_ttl=60)
    def fine() -> int:
        return 1

    with running_worker(queue):
        for name in ("leave", "leave_async", "odd", "fine"):
            last = queue.add(name, {}, attempts=1)
        queue.add("fine", {"unexpected": 1}, attempts=1)
        wait_until(lambda: queue.statistics().dead == 4)
        assert queue.result(last.id) == 1
    errors_by_name = {letter.name: letter.error for letter in queue.dead_letters() if letter.name != "fine"}
    assert errors_by_name["leave"] == "SystemExit: 3"
    assert errors_by_name["leave_async"].startswith("KeyboardInterrupt")
    assert "isn't JSON" in errors_by_name["odd"]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"nonsense",
        b"v1 2 3\n{}",
        b"v1 1 - 0 5 0 0 0\n{}",
        b"v1 1 - x y 0 0 0 note\n{}",
        b"v1 1 - 0 5 0 0 0 note\n{not json",
        b"v1 1 - 0 5 0 0 0 note\n[1]",
        b"v1 1 - 0 5 0 0 0 \xff\n{}",
        b"\xff\xfe\n",
    ],
)
def test_a_corrupt_job_is_set_aside(queue: Queue, server: ServerProcess, record: bytes) -> None:
    @queue.handler
    def note() -> None: ...

    with closing(server.client()) as admin, running_worker(queue):
        job = queue.add("note", delay=0.2).id
        admin.hset("valkeykit:{mail}:jobs", job, record)
        good = queue.add("note").id
        wait_until(lambda: queue.statistics().dead == 1 and queue.job(good).state == "missing")
    assert queue.dead_letters()[0].id == job


def test_a_job_that_takes_too_long_is_ended(queue: Queue) -> None:
    @queue.handler(timeout=0.2, attempts=1)
    async def sleepy() -> None:
        await asyncio.sleep(30)

    @queue.handler(timeout=0.2, attempts=1)
    def spinning() -> None:
        while True:
            time.sleep(0.01)

    with running_worker(queue):
        queue.add("sleepy")
        queue.add("spinning")
        wait_until(lambda: queue.statistics().dead == 2)
    assert {letter.error for letter in queue.dead_letters()} == {"JobTimeoutError: it ran longer than 0.2 s"}


def test_leases_are_renewed_while_a_job_runs_and_cancelling_ends_it(queue: Queue) -> None:
    events: list[Event] = []

    @queue.handler
    def long() -> None:
        while True:
            time.sleep(0.01)

    with running_worker(queue, lease=1, listeners=[events.append]):
        job = queue.add("long").id
        time.sleep(1.5)
        assert (queue.job(job).state, queue.job(job).attempts, queue.statistics().lost) == ("active", 1, 0)
        assert queue.cancel(job) == "active"
        wait_until(lambda: queue.job(job).state == "missing")
        wait_until(lambda: [event.kind for event in events] == ["cancelled"])


def test_progress_can_be_seen(queue: Queue) -> None:
    go_on = threading.Event()

    @queue.handler
    def stepwise() -> None:
        current_job().progress({"step": 2})
        go_on.wait(WAIT_SECONDS)

    with running_worker(queue):
        job = queue.add("stepwise").id
        wait_until(lambda: queue.job(job).progress == {"step": 2})
        go_on.set()
        wait_until(lambda: settled(queue))


def test_job_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue("mail")
    with pytest.raises(errors.ConfigurationError, match="no handler"):
        Worker(queue)
    queue.handler(wait_until)
    monkeypatch.setenv("JOB_CONCURRENCY", "3")
    assert Worker(queue).concurrency == 3
    monkeypatch.setenv("JOB_CONCURRENCY", "many")
    with pytest.raises(errors.ConfigurationError, match="'many'"):
        Worker(queue)
