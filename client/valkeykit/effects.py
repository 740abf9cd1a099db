"""Drivers of effects: operations that are generators of I/O requests, for synchronous and asyncio code.

Both variants of a class run the same generator. They differ in how they perform one request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeVar, final

T = TypeVar("T")


@final
class Sleep(NamedTuple):
    """A request to wait, which both drivers perform themselves."""

    seconds: float


def run_effects(effects: Generator[Any, Any, T], perform: Callable[[Any], Any]) -> T:
    """Run effects to their end.

    Args:
        effects: Yields requests. What `perform` returns is sent to it, and an error is raised in it.
        perform: Performs one request.

    Returns:
        What the effects return.
    """
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            request = effects.send(answer) if failure is None else effects.throw(failure)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            answer = failure = None  # a reference cycle would keep the error's frames
        try:
            if type(request) is Sleep:
                time.sleep(request.seconds)
            else:
                answer = perform(request)
        except Exception as error:  # noqa: BLE001  (the effects decide)
            failure = error


async def run_effects_async(effects: Generator[Any, Any, T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """As run_effects, for asyncio."""
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            request = effects.send(answer) if failure is None else effects.throw(failure)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            answer = failure = None
        try:
            if type(request) is Sleep:
                await asyncio.sleep(request.seconds)
            else:
                answer = await perform(request)
        except Exception as error:  # noqa: BLE001  (the effects decide)
            failure = error
