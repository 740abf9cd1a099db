"""Base of Queue and AsyncQueue: name, handlers, settings and the validation of arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from valkeykit.errors import ConfigurationError, InvalidJobError, shown
from valkeykit.queue.call_retry import CALL_RETRY_SECONDS
from valkeykit.queue.eager import EagerQueue
from valkeykit.queue.handlers import Handler, is_async, own_name
from valkeykit.queue.job_options import (
    HANDLER_OPTIONS,
    MAX_RESULT_BYTES,
    JobOptions,
    JobRequest,
    JobSpec,
    check_count,
    check_word,
    delay_until,
    encode_arguments,
    milliseconds,
    specify,
)
from valkeykit.queue.processes.references import check_importable
from valkeykit.queue.protocol import QueueProtocol
from valkeykit.queue.schedule import Schedule, new_schedule
from valkeykit.settings import (
    ConnectionSettings,
    ConnectOptions,
    ConnectTarget,
    check,
    is_number,
    refuse_replicas,
    resolve_settings,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.queue.tracing import Tracing

Function = TypeVar("Function", bound=Callable[..., Any])

_ON = {"", "1", "true", "yes", "on"}
_OFF = {"0", "false", "no", "off"}

MAX_QUEUE_CONNECTIONS = 500
"""One for each thread that adds jobs at the same time; opened on demand."""


class QueueBase:
    """A queue's name, handlers and settings."""

    _connection_type: Callable[[], Any]

    def __init__(
        self,
        name: str,
        url: ConnectTarget = None,
        *,
        retry_for: float = CALL_RETRY_SECONDS,
        allow_eviction: bool = False,
        max_result: int = MAX_RESULT_BYTES,
        tracing: Tracing | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None:
        """Check the arguments; nothing is sent.

        Args:
            name: The queue's name. All its keys are in one hash slot.
            url: As for `valkeykit.connect`.
            retry_for: Seconds for which a call is retried while the server can't be reached.
            allow_eviction: Accept a server that may evict jobs.
            max_result: Size limit of a job's result, in bytes; a larger one fails the job.
            tracing: Makes spans of jobs; None for no traces.
            **options: See ConnectOptions.

        Raises:
            InvalidJobError: The name or max_result can't be used.
            ConfigurationError: An option can't be used, or USE_VALKEY_QUEUE is neither true nor false.

        Example:
            >>> queue = Queue("mail", "redis://localhost:6379")
        """
        check(options)
        refuse_replicas(options)
        if not is_number(retry_for) or retry_for < 0:
            raise ConfigurationError(f"retry_for is {shown(retry_for)}, not a number of seconds", fix="retry_for=10")
        self.name = name
        self.protocol = QueueProtocol(name)
        self.handlers: dict[str, Handler] = {}
        self._specs: dict[str, JobSpec] = {}
        self.retry_for = retry_for
        self.allow_eviction = allow_eviction
        self.max_result = check_count("max_result", max_result, least=1)
        self.tracing = tracing
        self.eager = None if runs_on_server() else EagerQueue(self.handlers, self.max_result, name)
        self.source = url
        self.options = options
        self._lazy = self._connection_type()
        if url is not None:
            self.settings()

    def settings(self) -> ConnectionSettings:
        """Resolve how this queue connects; responses are bytes.

        Returns:
            The settings of its connections.

        Raises:
            ConfigurationError: The URL or an option can't be used.
        """
        return resolve_settings(
            self.source, defaults={"max_connections": MAX_QUEUE_CONNECTIONS}, **(self.options | {"decode": False})
        )

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
        """Register a function that runs the jobs of its name; a decorator.

        A generator is run to its end. An awaitable that a plain function returns is awaited.

        Args:
            function: The handler. It is called with the job's arguments as keywords.
            name: The jobs' name; by default the function's own, which a partial, a lambda or an object doesn't have.
            process: Run it in a child process, for work that needs the CPU or may crash. The function must be defined
                at the top level of a module.
            **options: Defaults of the jobs' options; see JobOptions.

        Returns:
            The function itself; without a function, a decorator.

        Raises:
            InvalidJobError: An option can't be used, the name is missing or taken, or the function can't be called.

        Example:
            >>> @queue.handler(attempts=3)
            ... def send(to: str) -> None: ...
        """

        def register(function: Function) -> Function:
            if not callable(function):
                raise InvalidJobError(f"{shown(function)} can't be called", fix="@queue.handler on a function")
            job_name = own_name(function) if name is None else name
            specify(job_name, **options)
            if job_name in self.handlers:
                raise InvalidJobError(f"the queue has a handler for {job_name!r} already", fix='handler(name="…")')
            if process:
                check_importable(function)
            self.handlers[job_name] = Handler(job_name, function, is_async(function) and not process, options, process)
            self._specs.clear()
            return function

        return register if function is None else register(function)

    def build_request(  # noqa: PLR0917  (called by `add` alone)
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None,
        delay: float,
        at: datetime | None,
        identity: str | None,
        key: str | None,
        key_ttl: float,
        options: JobOptions,
    ) -> JobRequest:
        """Check the arguments of `add`.

        Args:
            job: Its name, or its handler.
            arguments: Keyword arguments of the handler, JSON values.
            delay: Seconds until it may run.
            at: The time at which it may run, instead of a delay.
            identity: The job's id; None for a random one.
            key: At most one job of a key is added within `key_ttl` seconds.
            key_ttl: Seconds, see `key`.
            options: See JobOptions.

        Returns:
            The job to add.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        return JobRequest(
            spec=self.specify(job if isinstance(job, str) else self._name_of(job), options),
            payload=encode_arguments(arguments),
            delay=0 if at is None and type(delay) is int and delay == 0 else delay_until(delay, at),
            id=None if identity is None else check_word("id", identity),
            key=None if key is None else check_word("key", key),
            key_ttl=0 if key is None else milliseconds("key_ttl", key_ttl, least=0.001),
        )

    def build_requests(
        self,
        job: str | Callable[..., Any],
        argument_sets: Iterable[Mapping[str, Any] | None],
        delay: float,
        at: datetime | None,
        options: JobOptions,
    ) -> Iterator[JobRequest]:
        """Check the arguments of `add_many`, those of each job when it is iterated over.

        Args:
            job: Name or handler of the jobs.
            argument_sets: The arguments of each job.
            delay: Seconds until they may run.
            at: The time at which they may run, instead of a delay.
            options: See JobOptions.

        Returns:
            The jobs to add.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        if isinstance(argument_sets, str | bytes | Mapping) or not isinstance(argument_sets, Iterable):
            raise InvalidJobError(
                f"the arguments of many jobs are {shown(argument_sets)}, not a list of mappings",
                fix='[{"user": 5}, {"user": 6}]',
            )
        return (self.build_request(job, arguments, delay, at, None, None, 0, options) for arguments in argument_sets)

    def build_schedule(  # noqa: PLR0917  (called by `schedule` alone)
        self,
        job: str | Callable[..., Any],
        arguments: Mapping[str, Any] | None,
        name: str | None,
        cron: str | None,
        every: float | None,
        zone: str,
        overlap: bool,
        options: JobOptions,
    ) -> Schedule:
        """Check the arguments of `schedule`.

        Args:
            job: Its name, or its handler.
            arguments: Keyword arguments of the handler, JSON values.
            name: Name of the schedule; None for the job's.
            cron: A cron expression, instead of `every`.
            every: The interval in seconds, instead of `cron`.
            zone: Time zone of the cron expression.
            overlap: Whether a job is added while the previous one isn't done.
            options: See JobOptions.

        Returns:
            The schedule to store.

        Raises:
            InvalidJobError: An argument can't be used.
        """
        job_name = job if isinstance(job, str) else self._name_of(job)
        spec = self.specify(job_name, options)
        return new_schedule(
            job_name if name is None else name,
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

    def specify(self, name: str, options: JobOptions) -> JobSpec:
        """Check a job's options and complete them with the defaults of its handler.

        Args:
            name: The job's name.
            options: Its own options; the result without any is cached.

        Returns:
            The job's name and all options.

        Raises:
            InvalidJobError: The name or an option can't be used.
        """
        if not options and (cached := self._specs.get(name)) is not None:
            return cached
        if unknown := options.keys() - JobOptions.__annotations__.keys():
            raise InvalidJobError(
                f"{', '.join(sorted(unknown))}: no such option; the job's arguments are a mapping",
                fix='queue.add("send", {"to": "ann"}, attempts=3)',
            )
        handler = self.handlers.get(name)
        if handler is not None:
            spec = specify(name, **(handler.options | options))
        else:
            spec = specify(name, **options)
            spec = replace(spec, left_open=frozenset(HANDLER_OPTIONS) - set(options))
        if not options:
            self._specs[name] = spec
        return spec


def runs_on_server() -> bool:
    """Whether USE_VALKEY_QUEUE is on, which is the default.

    Raises:
        ConfigurationError: Its value is neither true nor false.
    """
    value = os.environ.get("USE_VALKEY_QUEUE", "").strip().lower()
    if value not in _ON | _OFF:
        raise ConfigurationError(
            f"USE_VALKEY_QUEUE is {value!r}, which is neither true nor false", fix="USE_VALKEY_QUEUE=1"
        )
    return value in _ON
