"""A job that a worker has taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from valkeykit.queue.job_options import JobSpec, check_progress
from valkeykit.queue.schema import CorruptJobError, read_record

if TYPE_CHECKING:
    import asyncio

    from valkeykit.queue.handlers import Handler
    from valkeykit.vocabulary import Interruption

_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # of json itself

_current: ContextVar[Job] = ContextVar("valkeykit_job")


class InvalidResultError(Exception):
    """The job ran, and its result can't be kept. It is not tried again."""


class Job:
    """A job that a worker holds. Its handler gets it with `current_job()`.

    Attributes:
        attempt: Number of the attempt, from 1.
        spec: Its name and options.
        handler: The handler of its name; None if this worker has none.
        queue: Name of its queue.
        is_suspect: It has lost workers more than once.
    """

    queue = ""
    is_suspect = False  # written by JobFetcher alone
    _progress: Any = None

    # Written by Tracing alone, after it was read.
    trace = ""  # its trace context; from the attempt's start on that of its span
    end_span: Callable[[BaseException | None], None] | None = None

    # Written by RunningJobs alone.
    started = 0.0  # when it took the job
    called = 0.0  # when it called the handler
    over = False
    is_abandoned = False  # it didn't end when it was interrupted
    interrupt: Interruption | None = None
    interrupted_at = 0.0
    task: asyncio.Task[None] | None = None
    thread: int | None = None
    kill: Callable[[], None] | None = None

    def __init__(
        self,
        identity: bytes,
        attempt: int,
        spec: JobSpec,
        payload: bytes,
        handler: Handler | None,
    ) -> None:
        self._identity = identity
        self._payload = payload
        self.attempt = attempt
        self.spec = spec
        self.handler = handler

    @property
    def key(self) -> bytes:
        """The id as the server has it."""
        return self._identity

    @property
    def id(self) -> str:
        """The id that `Queue.add` returned."""
        return self._identity.decode(errors="replace")

    @property
    def name(self) -> str:
        """The name by which its handler is registered."""
        return self.spec.name

    @property
    def trace_id(self) -> str:
        """Id of its trace in hexadecimal; "" if it isn't traced."""
        return self.trace[3:35]

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the handler.

        Raises:
            CorruptJobError: The server stores something else.
        """
        if self._payload == b"{}":
            return {}
        try:
            arguments = _decode(self._payload.decode())
        except (ValueError, RecursionError):
            raise CorruptJobError("the arguments aren't JSON") from None
        if not isinstance(arguments, dict):
            raise CorruptJobError("the arguments aren't a mapping")
        return arguments

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job becomes a dead letter if this attempt fails."""
        return self.attempt >= self.spec.attempts

    @property
    def is_running(self) -> bool:
        """Whether a thread, a process or a task runs it right now."""
        return self.thread is not None or self.task is not None or self.kill is not None

    @property
    def is_interrupted(self) -> bool:
        """Whether the job should end: it was cancelled, exceeded its timeout, or another worker has it."""
        return self.interrupt is not None

    def progress(self, value: Any) -> None:
        """Report the progress of the job. The worker stores the latest value a few times a second.

        Args:
            value: Any JSON value of up to 64 KiB.

        Raises:
            InvalidJobError: It isn't JSON, or too large.

        Example:
            >>> current_job().progress({"done": 0.5})
        """
        self._progress = check_progress(value)

    @property
    def latest_progress(self) -> Any:
        """The value that was reported last; None before the first one and after `take_progress`."""
        return self._progress

    def take_progress(self) -> Any:
        """The latest value that was reported since the last call; None if there is none."""
        value, self._progress = self._progress, None
        return value


def _decode(text: str) -> Any:
    """As json.loads, without the search for white space, which takes longer than small arguments do."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else json.loads(text)


def current_job() -> Job:
    """Get the job whose handler runs in this context.

    Returns:
        The job, with its id, arguments and attempt.

    Raises:
        LookupError: No handler runs here.
    """
    return _current.get()


def current_job_or_none() -> Job | None:
    """The job whose handler runs in this context; None outside of a handler."""
    return _current.get(None)


def enter(job: Job) -> None:
    """Make a job the current one of this context."""
    _current.set(job)


def call(job: Job) -> Any:
    """Call its handler in this context; what that returns may have to be awaited."""
    _current.set(job)
    assert job.handler is not None  # noqa: S101  (jobs without one aren't run)
    return job.handler.function(**job.arguments)


def unpack(
    identity: bytes,
    attempt: int,
    record: bytes,
    handlers: Mapping[str, Handler],
    queue: str = "",
) -> Job:
    """Read a record; the arguments are read when the job runs.

    Raises:
        CorruptJobError: It isn't one.
        NewerFormatError: It is one of another version.
    """
    spec, payload, trace = read_record(record)
    handler = handlers.get(spec.name)
    if spec.left_open and handler is not None:
        spec = handler.complete(spec)
    job = Job(identity, attempt, spec, payload, handler)
    job.queue = queue
    if trace:
        job.trace = trace
    return job
