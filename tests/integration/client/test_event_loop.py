"""What handlers do to the event loop of their worker."""

from __future__ import annotations

import asyncio
import sys

import pytest
from valkeykit import Queue, Worker
from valkeykit.queue.worker.event_loop import run_to_end


def _interrupt() -> None:
    raise KeyboardInterrupt


async def _exit() -> None:
    sys.exit(3)


def test_a_worker_survives_handlers_that_stop_its_loop(queue: Queue) -> None:
    done = list[str]()

    @queue.handler(attempts=1)
    async def exit_in_a_task() -> None:
        await asyncio.gather(_exit())

    @queue.handler(attempts=1)
    async def interrupt_in_a_callback() -> None:
        asyncio.get_running_loop().call_soon(_interrupt)
        await asyncio.sleep(0.01)

    @queue.handler(attempts=1)
    async def stop_the_loop() -> None:
        asyncio.get_running_loop().stop()

    @queue.handler(attempts=1)
    async def work() -> None:
        done.append("work")

    for handler in (exit_in_a_task, interrupt_in_a_callback, stop_the_loop, work):
        queue.add(handler)
    Worker(queue, concurrency=1).run(burst=True)
    assert done == ["work"]
    counts = queue.statistics()
    assert (counts.completed, counts.dead, counts.active, counts.waiting) == (3, 1, 0, 0)
    assert queue.dead_letters()[0].error == "SystemExit: 3"


def test_an_error_of_the_main_coroutine_is_raised_and_tasks_are_cancelled() -> None:
    cancelled = list[bool]()

    async def wait() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert not task.done()
        raise LookupError

    with pytest.raises(LookupError):
        run_to_end(main())
    assert cancelled == [True]
