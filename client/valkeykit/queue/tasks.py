"""Tasks of asyncio that end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from valkeykit.queue.events import logger


async def is_done_before(end: Coroutine[Any, Any, Any], action: Coroutine[Any, Any, Any]) -> bool:
    """Run an action until an end. What the action raises comes through; at the end it is cancelled."""
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
