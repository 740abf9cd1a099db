"""Where jobs run, without a server: what is released, and what is ended, before it starts."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from valkeykit.errors import CancelledJobError
from valkeykit.queue.handlers import Handler
from valkeykit.queue.job import Job
from valkeykit.queue.job_options import JobOptions, JobSpec
from valkeykit.queue.worker.job_executor import JobExecutor


def jobs_of(function: Callable[[], Any], number: int) -> list[Job]:
    handler = Handler("note", function, asyncio.iscoroutinefunction(function), JobOptions())
    return [Job(b"%d" % n, 1, JobSpec("note"), b"{}", handler) for n in range(number)]


@contextmanager
def threads_that_switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_a_job_is_either_withdrawn_or_begun() -> None:
    async def rounds() -> list[Job]:
        executor, neither = JobExecutor(4, on_finished=lambda: None), []
        for _ in range(300):
            jobs = jobs_of(lambda: None, 50)
            executor.submit(jobs)
            await asyncio.sleep(0)
            withdrawn = set(executor.withdraw())
            neither += [job for job in jobs if not job.started and job not in withdrawn]
            while executor.busy:
                await asyncio.sleep(0)
        executor.close()
        return neither

    with threads_that_switch_often():
        assert asyncio.run(rounds()) == []


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_cancelled_while_it_waits_for_a_slot_does_not_run(is_async: bool) -> None:
    runs: list[bytes] = []

    async def serve() -> list[tuple[bytes, type]]:
        go_on = threading.Event()

        def function() -> None:
            go_on.wait(5)
            runs.append(b"function")

        async def coroutine() -> None:
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            runs.append(b"coroutine")

        executor = JobExecutor(1, on_finished=lambda: None)
        first, second = jobs_of(coroutine if is_async else function, 2)
        executor.submit([first, second])
        while not first.started:
            await asyncio.sleep(0.01)
        executor.interrupt(second, "cancelled")
        go_on.set()
        while not executor.is_idle:
            await asyncio.sleep(0.01)
        executor.close()
        return [(outcome.job.key, type(outcome.error)) for outcome in executor.outcomes]

    assert asyncio.run(serve()) == [(b"0", type(None)), (b"1", CancelledJobError)]
    assert len(runs) == 1
