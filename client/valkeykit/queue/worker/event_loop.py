"""Event loop helpers: a loop that survives its handlers, and tasks that end in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from valkeykit.queue.job_events import logger


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as asyncio.run does, also where a handler stops the loop before the end.

    A task or a callback that a handler left ends the loop by SystemExit or KeyboardInterrupt, which asyncio passes on;
    `loop.stop()` ends it too.
    """
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        _finish(loop, loop.create_task(main))
    finally:
        try:
            _cancel_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _finish(loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any]) -> None:
    while True:
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            if task.done():
                raise
            logger.error("a handler stopped the event loop, which continues: %r", error)
        else:
            return


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        _finish(loop, asyncio.gather(*tasks, return_exceptions=True))


async def is_done_before(end: Coroutine[Any, Any, Any], action: Coroutine[Any, Any, Any]) -> bool:
    """Run an action until an end, at which it is cancelled. Exceptions of the action are raised."""
    acting, ending = asyncio.create_task(action), asyncio.create_task(end)
    try:
        await asyncio.wait({acting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if acting.done():
            await acting
            return True
        return False
    finally:
        for task in (acting, ending):
            await cancelled(task)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task, several times if necessary, since redis-py sometimes swallows the first cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("a task ended with %r", error)


def is_cancelling(task: asyncio.Task[Any] | None) -> bool:
    """Whether a job left a request to cancel its task, which would hit the next job."""
    if task is None:
        return False
    if sys.version_info >= (3, 11):
        return task.cancelling() > 0
    return bool(getattr(task, "_must_cancel", False))
