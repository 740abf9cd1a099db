"""Cancelling, and jobs that don't end: a cancelled job isn't tried again, and its slot is free."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import Any

import pytest
from valkeykit import Queue, current_job
from valkeykit.queue.worker import leases

from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled, take


def test_a_cancelled_job_is_not_tried_again_after_a_failure(queue: Queue) -> None:
    job = queue.add("send").id
    take(queue)
    assert queue.cancel(job) == "active"
    assert queue.send(queue.protocol.fail("w", [job, 1, 0, "ValueError: no", ""])) == ([], [job.encode()])
    assert queue.job(job).state == "missing"
    assert queue.statistics().cancelled == 1


def test_a_cancelled_job_that_is_given_back_ends(queue: Queue) -> None:
    job = queue.add("send").id
    take(queue)
    queue.cancel(job)
    queue.send(queue.protocol.release("w", [job, 1]))
    assert queue.job(job).state == "missing"
    assert take(queue) == []
    assert queue.statistics().cancelled == 1


def test_a_cancelled_job_whose_worker_is_lost_ends(queue: Queue) -> None:
    job = queue.add("send").id
    take(queue, lease_ms=30)
    queue.cancel(job)
    time.sleep(0.05)
    answer = queue.send(queue.protocol.take("other", 1, 30_000))
    assert answer.jobs == []
    assert [(reaped.id, reaped.fate) for reaped in answer.reaped] == [(job, "cancelled")]
    assert queue.statistics().cancelled == 1


@pytest.mark.parametrize("state", ["waiting", "delayed", "dead", "suspect"])
def test_id_and_key_are_free_after_a_cancel(queue: Queue, state: str) -> None:
    def add() -> bool:
        return queue.add("send", id="mine", key="key", delay=60 if state == "delayed" else 0).new

    assert add()
    if state == "dead":
        take(queue)
        queue.send(queue.protocol.fail("w", ["mine", 1, -1, "ValueError: no", ""]))
    for _ in range(2 if state == "suspect" else 0):
        take(queue, lease_ms=30)
        time.sleep(0.05)
    if state == "suspect":
        queue.send(queue.protocol.take("other", 1, 30_000, suspect=False))
    assert queue.cancel("mine") == ("waiting" if state == "suspect" else state)
    assert add()
    counts = queue.statistics()
    assert counts.waiting + counts.delayed == 1


def test_id_and_key_are_free_after_the_last_attempt(queue: Queue) -> None:
    assert queue.add("send", id="mine", key="key").new
    take(queue)
    queue.send(queue.protocol.fail("w", ["mine", 1, -1, "ValueError: no", "trace"]))
    assert queue.add("send", {"n": 2}, id="mine", key="key").new
    state = queue.job("mine")
    assert (state.state, state.attempts, state.error, state.traceback) == ("waiting", 0, None, None)
    assert queue.statistics().dead == 0


def test_a_dead_letter_stays_where_the_key_of_its_successor_is_taken(queue: Queue) -> None:
    queue.add("send", id="mine")
    take(queue)
    queue.send(queue.protocol.fail("w", ["mine", 1, -1, "ValueError: no", ""]))
    holder = queue.add("send", key="key").id
    assert queue.add("send", id="mine", key="key") == (holder, False)
    assert queue.job("mine").state == "dead"
    assert [letter.id for letter in queue.dead_letters()] == ["mine"]


def test_a_job_that_fails_while_it_is_cancelled_ends(queue: Queue) -> None:
    runs: list[int] = []
    began, go_on = threading.Event(), threading.Event()

    @queue.handler(attempts=5, backoff=0.01)
    def fail() -> None:
        runs.append(1)
        began.set()
        go_on.wait(10)
        raise ValueError("no")

    kinds: list[str] = []
    with running_worker(queue, listeners=[lambda event: kinds.append(event.kind)]):
        job = queue.add(fail).id
        assert began.wait(20)
        assert queue.cancel(job) == "active"
        go_on.set()
        wait_until(lambda: kinds != [])
        assert queue.job(job).state == "missing"
    assert (runs, kinds) == ([1], ["cancelled"])


@pytest.mark.parametrize("timeout", [None, 600])
def test_the_slot_of_a_function_that_blocks_is_replaced_after_a_cancel(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    monkeypatch.setattr(leases, "INTERRUPT_GRACE_SECONDS", 0.2)
    lock = threading.Lock()
    lock.acquire()

    @queue.handler(timeout=timeout)
    def block() -> None:
        lock.acquire()  # no interrupt reaches it there

    queue.handler(name="fine", result_ttl=60)(lambda: 1)
    with running_worker(queue, concurrency=1, lease=1):
        job = queue.add(block).id
        wait_until(lambda: queue.statistics().active == 1)
        queue.cancel(job)
        assert queue.result(queue.add("fine").id, timeout=30) == 1
        assert queue.job(job).state == "missing"
        lock.release()
        assert [queue.result(queue.add("fine").id) for _ in range(3)] == [1] * 3
    assert settled(queue)


def test_the_slot_of_a_function_that_blocks_is_replaced_after_its_time_out(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "INTERRUPT_GRACE_SECONDS", 0.2)
    go_on = threading.Event()

    @queue.handler(timeout=0.1, attempts=1)
    def block() -> None:
        go_on.wait()  # in C, where no interrupt comes

    queue.handler(name="fine", result_ttl=60)(lambda: 1)
    with running_worker(queue, concurrency=1):
        queue.add(block)
        assert queue.result(queue.add("fine").id, timeout=30) == 1
        go_on.set()
        wait_until(lambda: queue.statistics().dead == 1)
    assert queue.dead_letters()[0].error.startswith("JobTimeoutError")


def test_the_slot_of_a_coroutine_that_swallows_its_cancellation_is_replaced(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases, "INTERRUPT_GRACE_SECONDS", 0.2)
    caplog.set_level(logging.ERROR, "valkeykit.queue")
    is_over: list[bool] = []

    @queue.handler(timeout=0.1, attempts=1)
    async def stay() -> None:
        while not is_over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    @queue.handler(result_ttl=60)
    async def fine() -> int:
        return 1

    with running_worker(queue, concurrency=1):
        job = queue.add(stay).id
        assert queue.result(queue.add(fine).id, timeout=30) == 1
        is_over.append(True)
        assert [queue.result(queue.add(fine).id) for _ in range(3)] == [1] * 3
    assert queue.job(job).state == "dead"
    assert any("it was abandoned" in record.getMessage() for record in caplog.records)


def test_a_coroutine_that_ends_well_although_it_was_cancelled_is_completed(queue: Queue) -> None:
    @queue.handler(result_ttl=60, timeout=0.1)
    async def tidy_up() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "tidy"
        return "late"

    @queue.handler(result_ttl=60)
    async def fine() -> int:
        await asyncio.sleep(0)
        return 1

    with running_worker(queue, concurrency=1):
        assert queue.result(queue.add(tidy_up).id) == "tidy"
        assert queue.result(queue.add(fine).id) == 1


def test_leases_are_renewed_while_the_loop_is_blocked(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "valkeykit.queue")
    runs: list[str] = []

    @queue.handler
    async def block() -> None:
        runs.append("block")
        time.sleep(2.5)  # longer than two leases

    @queue.handler
    async def wait() -> None:
        runs.append("wait")
        await asyncio.sleep(0.5)

    with running_worker(queue, lease=1), running_worker(queue, lease=1):
        queue.add(wait)
        queue.add(block)
        wait_until(lambda: settled(queue))
    assert sorted(runs) == ["block", "wait"]
    assert queue.statistics().lost == 0
    (text,) = [record.getMessage() for record in caplog.records if "loop was blocked" in record.getMessage()]
    assert "block" in text


def test_a_job_can_read_that_it_is_interrupted(queue: Queue) -> None:
    answers: list[Any] = []

    @queue.handler(timeout=0.05, attempts=1)
    def watch() -> None:
        job = current_job()
        try:
            while True:
                time.sleep(0.01)
        finally:
            answers.append(job.is_interrupted)

    with running_worker(queue):
        queue.add(watch)
        wait_until(lambda: queue.statistics().dead == 1)
    assert answers == [True]
