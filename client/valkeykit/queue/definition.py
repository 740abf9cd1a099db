"""What the sync and the asyncio queue have in common: a name, handlers, and how a job is described."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from valkeykit.errors import ConfigurationError, InvalidJobError
from valkeykit.queue.calls import Calls
from valkeykit.queue.options import (
    HANDLER_OPTIONS,
    Description,
    JobOptions,
    Spec,
    check_word,
    delay_until,
    encode_arguments,
    milliseconds,
    shown,
    specify,
)
from valkeykit.queue.references import check_importable
from valkeykit.queue.repeats import Repeat, repeated

if TYPE_CHECKING:
    from typing_extensions import Unpack

Function = TypeVar("Function", bound=Callable[..., Any])

_ON = {"", "1", "true", "yes", "on"}
_OFF = {"0", "false", "no", "off"}

MAX_COMPLETED = 1024
"""Combinations of options that a handler keeps completed."""


@dataclass(frozen=True)
class Handler:
    """A function that runs jobs of one name. It is called with the job's arguments as keywords.

    process: whether it runs in a process of its own.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    options: JobOptions
    process: bool = False
    _completed: dict[Spec, Spec] = field(default_factory=dict, repr=False, compare=False)

    def complete(self, spec: Spec) -> Spec:
        """A job's name and options, with this handler's where the producer left them open."""
        known = self._completed.get(spec)
        if known is None:
            if len(self._completed) >= MAX_COMPLETED:  # a producer may give each job a timeout of its own
                self._completed.clear()
            own = specify(self.name, **self.options)
            options = {name: getattr(own, name) for name in spec.left_open}
            known = self._completed[spec] = replace(spec, **options, left_open=frozenset())
        return known


class Definition:
    """A queue's name and handlers, without a connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = Calls(name)
        self.handlers: dict[str, Handler] = {}
        self._specs: dict[str, Spec] = {}

    @overload
    def handler(self, function: Function) -> Function: ...

    @overload
    def handler(
        self, *, name: str | None = None, process: bool = False, **options: Unpack[JobOptions]
    ) -> Callable[[Function], Function]: ...

    def handler(
        self,
        function: Function | None = None,
        *,
        name: str | None = None,
        process: bool = False,
        **options: Unpack[JobOptions],
    ) -> Function | Callable[[Function], Function]:
        """Let a function run the jobs of its name; `options` are the defaults of such jobs.

        @queue.handler
        def send(to: str) -> None: ...

        A generator is run to its end. What a plain function returns is awaited where it can be.

        Args:
            name: of the jobs; the function's own by default, which a partial, a lambda or an object doesn't have.
            process: run it in a child process, for work that needs the CPU or may crash; the function must be one that
                a module defines.

        Raises:
            InvalidJobError: an option can't be used, the name is missing or taken, or the function can't be called.
        """

        def register(function: Function) -> Function:
            if not callable(function):
                raise InvalidJobError(f"{shown(function)} can't be called", fix="@queue.handler on a function")
            known = _own_name(function) if name is None else name
            specify(known, **options)
            if known in self.handlers:
                raise InvalidJobError(f"the queue has a handler for {known!r} already", fix='handler(name="…")')
            if process:
                check_importable(function)
            self.handlers[known] = Handler(known, function, _is_async(function) and not process, options, process)
            self._specs.clear()
            return function

        return register if function is None else register(function)

    def describe(  # noqa: PLR0917  (called by `add` alone)
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None,
        delay: float,
        at: datetime | None,
        identity: str | None,
        key: str | None,
        key_ttl: float,
        options: JobOptions,
    ) -> Description:
        """Check all that `add` takes.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        return Description(
            spec=self.specify(job if isinstance(job, str) else self._name_of(job), options),
            payload=encode_arguments(arguments),
            delay=0 if at is None and type(delay) is int and delay == 0 else delay_until(delay, at),
            id=None if identity is None else check_word("id", identity),
            key=None if key is None else check_word("key", key),
            key_ttl=0 if key is None else milliseconds("key_ttl", key_ttl, least=0.001),
        )

    def describe_many(
        self,
        job: str | Callable[..., Any],
        many: Iterable[Mapping[str, Any] | None],
        delay: float,
        at: datetime | None,
        options: JobOptions,
    ) -> Iterator[Description]:
        """Check all that `add_many` takes, each job's arguments when it is requested.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        if isinstance(many, str | bytes | Mapping) or not isinstance(many, Iterable):
            raise InvalidJobError(
                f"the arguments of many jobs are {shown(many)}, not a list of mappings",
                fix='[{"user": 5}, {"user": 6}]',
            )
        return (self.describe(job, arguments, delay, at, None, None, 0, options) for arguments in many)

    def describe_repeat(  # noqa: PLR0917  (called by `repeat` alone)
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None,
        name: str | None,
        cron: str | None,
        every: float | None,
        zone: str,
        overlap: bool,
        options: JobOptions,
    ) -> Repeat:
        """Check all that `repeat` takes.

        Raises:
            InvalidJobError: an argument can't be used.
        """
        known = job if isinstance(job, str) else self._name_of(job)
        spec = self.specify(known, options)
        return repeated(
            known if name is None else name,
            spec,
            encode_arguments(arguments),
            cron=cron,
            every=every,
            zone=zone,
            overlap=overlap,
        )

    def _name_of(self, job: Callable[..., Any]) -> str:
        for name, handler in self.handlers.items():
            if handler.function is job or (callable(job) and handler.function == job):
                return name
        raise InvalidJobError(
            f"{shown(job)} is neither a name nor a handler of this queue", fix="@queue.handler before it"
        )

    def specify(self, name: str, options: JobOptions) -> Spec:
        """The job's name and options, those of its handler filled in. The usual case is looked up."""
        if not options and (known := self._specs.get(name)) is not None:
            return known
        handler = self.handlers.get(name)
        if handler is not None:
            spec = specify(name, **(handler.options | options))
        else:
            spec = specify(name, **options)
            spec = replace(spec, left_open=frozenset(HANDLER_OPTIONS) - set(options))
        if not options:
            self._specs[name] = spec
        return spec


def _own_name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise InvalidJobError(f"{shown(function)} has no name of its own", fix='queue.handler(name="…")(function)')
    return name


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def runs_on_server() -> bool:
    """USE_VALKEY_QUEUE: on where it isn't set.

    Raises:
        ConfigurationError: it is neither true nor false.
    """
    value = os.environ.get("USE_VALKEY_QUEUE", "").strip().lower()
    if value not in _ON | _OFF:
        raise ConfigurationError(
            f"USE_VALKEY_QUEUE is {value!r}, which is neither true nor false", fix="USE_VALKEY_QUEUE=1"
        )
    return value in _ON
