"""What handlers return: coroutines and other awaitables are awaited, generators run to their end."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Generator
from contextvars import Context
from typing import Any


async def settle(value: Any, context: Context) -> Any:
    """Return values of handlers: awaitables are awaited, generators run to their end."""
    if inspect.iscoroutine(value):
        return await InContext(value, context)
    if inspect.isasyncgen(value):
        return await InContext(exhaust_async(value), context)
    if inspect.isgenerator(value):
        return context.run(exhaust, value)
    return await InContext(value, context) if inspect.isawaitable(value) else value


def exhaust(generator: Generator[Any, Any, Any]) -> Any:
    """Run a generator that a handler returned to its end; what it returns is the result."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


async def exhaust_async(generator: AsyncIterator[Any]) -> None:
    """Run an asynchronous generator that a handler returned to its end."""
    async for _ in generator:
        pass


class InContext:
    """An awaitable whose steps run in a context, although the task that awaits it has another."""

    __slots__ = ("_awaitable", "_context")

    def __init__(self, awaitable: Any, context: Context) -> None:
        self._awaitable = awaitable
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        run, steps = self._context.run, self._awaitable
        if not inspect.iscoroutine(steps):
            steps = run(steps.__await__)
            if not hasattr(steps, "send"):
                return (yield from steps)
        try:
            step = run(steps.send, None)
            while True:
                try:
                    value = yield step
                except GeneratorExit:
                    run(steps.close)
                    raise
                except BaseException as error:  # noqa: BLE001  (it belongs to the handler)
                    step = run(steps.throw, error)
                else:
                    step = run(steps.send, value)
        except StopIteration as end:
            return end.value
