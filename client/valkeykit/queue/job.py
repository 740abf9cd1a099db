"""A job as its worker holds it, and as its handler sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from valkeykit.queue.definition import Handler
from valkeykit.queue.options import Spec

if TYPE_CHECKING:
    import asyncio

_current: ContextVar[Job] = ContextVar("valkeykit_job")


class CorruptJobError(Exception):
    """What the server holds under this id isn't a job. It is set aside, not tried again."""


class Job:
    """A job that a worker holds.

    spec: its name and options. attempt: 1 for the first. worker-side fields have no underscore-free use elsewhere.
    """

    __slots__ = (
        "_identity", "_payload", "attempt", "handler", "interrupt", "over", "reported", "spec", "started", "taken",
        "task", "thread",
    )  # fmt: skip

    def __init__(self, identity: bytes, attempt: int, spec: Spec, payload: bytes, handler: Handler | None) -> None:
        self._identity = identity
        self._payload = payload
        self.attempt = attempt
        self.spec = spec
        self.handler = handler
        self.taken = 0.0
        self.started = 0.0
        self.over = False
        self.interrupt: str | None = None
        self.reported: Any = None
        self.task: asyncio.Task[None] | None = None
        self.thread: int | None = None

    @property
    def key(self) -> bytes:
        """The id as the server has it."""
        return self._identity

    @property
    def id(self) -> str:
        return self._identity.decode(errors="replace")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the handler is called with.

        Raises:
            CorruptJobError: the server holds something else.
        """
        if self._payload == b"{}":
            return {}
        try:
            arguments = json.loads(self._payload)
        except ValueError:
            raise CorruptJobError("the arguments aren't JSON") from None
        if not isinstance(arguments, dict):
            raise CorruptJobError("the arguments aren't a mapping")
        return arguments

    @property
    def is_interrupted(self) -> bool:
        """Whether the job is to end: it was cancelled, is over time, or another worker has it."""
        return self.interrupt is not None

    def progress(self, value: Any) -> None:
        """Report how far the job is, any JSON value; the worker passes on the latest a few times a second."""
        self.reported = value


def current_job() -> Job:
    """The job that runs here.

    Raises:
        LookupError: no job does.
    """
    return _current.get()


def enter(job: Job) -> None:
    """Make it the current one of this thread or task."""
    _current.set(job)


def unpack(identity: bytes, attempt: int, record: bytes, handlers: Mapping[str, Handler]) -> Job:
    """Read a record; the arguments are read when the job runs.

    Raises:
        CorruptJobError: it isn't one.
    """
    head, newline, payload = record.partition(b"\n")
    _, _, header = head.partition(b" ")
    try:
        spec = _spec(header)
    except ValueError:
        spec, newline = Spec("?"), b""
    if not newline:
        raise CorruptJobError("the record has no header")
    return Job(identity, attempt, spec, payload, handlers.get(spec.name))


@lru_cache(maxsize=1024)
def _spec(header: bytes) -> Spec:
    """Jobs of a kind have the same header, so it is read once."""
    return Spec.from_header(header.decode())
