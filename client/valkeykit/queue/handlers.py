"""Handlers: the functions that run jobs, and what they return."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextvars import Context
from dataclasses import dataclass, field, replace
from typing import Any

from valkeykit.errors import InvalidJobError, shown
from valkeykit.queue.job_options import JobOptions, JobSpec, specify

MAX_CACHED_SPECS = 1024
"""Combinations of options that a handler keeps completed."""


@dataclass(frozen=True)
class Handler:
    """A function that runs jobs of one name. It is called with the job's arguments as keywords.

    Attributes:
        process: Whether it runs in a process of its own.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    options: JobOptions
    process: bool = False
    _completed: dict[JobSpec, JobSpec] = field(default_factory=dict, repr=False, compare=False)

    def complete(self, spec: JobSpec) -> JobSpec:
        """A job's name and options, with this handler's where the producer left them open."""
        completed = self._completed.get(spec)
        if completed is None:
            if len(self._completed) >= MAX_CACHED_SPECS:  # a producer may give each job a timeout of its own
                self._completed.clear()
            own = specify(self.name, **self.options)
            options = {name: getattr(own, name) for name in spec.left_open}
            completed = self._completed[spec] = replace(spec, **options, left_open=frozenset())
        return completed


def own_name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise InvalidJobError(f"{shown(function)} has no name of its own", fix='queue.handler(name="…")(function)')
    return name


def is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def complete(value: Any, context: Context) -> Awaitable[Any]:
    """Return values of handlers: awaitables are awaited, generators run to their end."""
    return InContext(value, context) if inspect.iscoroutine(value) else _complete_other(value, context)


async def _complete_other(value: Any, context: Context) -> Any:
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
