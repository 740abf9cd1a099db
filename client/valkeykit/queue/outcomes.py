"""Outcomes: how a job ended, its result or error in the form that the server stores, and whether it is retried."""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import Iterable
from typing import Any, NamedTuple

from valkeykit.errors import CancelledJobError, JobError, JobTimeoutError, OperationTimeoutError
from valkeykit.queue.job import InvalidResultError, Job
from valkeykit.queue.schema import CorruptJobError

MAX_BACKOFF_MS = 3_600_000
"""Milliseconds, an hour: the longest wait between two attempts."""

MAX_ERROR_CHARACTERS = 2000
"""Characters of an error that are kept."""

MAX_TRACEBACK_CHARACTERS = 8000
"""Characters of a dead letter's traceback that are kept, the last ones."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class EncodedResult(str):
    """A result that is JSON text already."""

    __slots__ = ()


class Outcome(NamedTuple):
    """error is None for a job that is done."""

    job: Job
    value: Any = None
    error: BaseException | None = None


class HandlerFailedError(JobError):
    """A handler raised an exception in its child process.

    Attributes:
        kind: The name of its class.
    """

    def __init__(self, kind: str, text: str, traceback: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.traceback = traceback


def encode_result(value: Any, max_result: int) -> str:
    """A result as JSON.

    Raises:
        InvalidResultError: It isn't JSON, or it is too large.
    """
    try:
        text = value if isinstance(value, EncodedResult) else _encode(value)
    except BaseException as problem:  # noqa: BLE001  (a value may raise anything when it is read)
        raise InvalidResultError(f"the result isn't JSON: {_words(problem)}") from None
    if len(text) > max_result:
        raise InvalidResultError(f"the result takes {len(text)} bytes, and max_result is {max_result}")
    return text


def recent_lines(outcomes: Iterable[Outcome], now: float) -> str:
    """Completed jobs as the list of recent ones has them, but for the time, which the server adds."""
    return "\n".join(f"{_run_ms(job, now)} {job.attempt} {job.spec.name} {job.id}" for job, _, _ in outcomes)


def total_run_ms(outcomes: Iterable[Outcome], now: float) -> int:
    """How long jobs ran in total."""
    return max(0, round(1000 * sum(now - (outcome.job.started or now) for outcome in outcomes)))


def _run_ms(job: Job, now: float) -> int:
    return max(0, round(1000 * (now - (job.started or now))))


def is_final(job: Job, error: BaseException) -> bool:
    """Whether this error makes the job a dead letter."""
    return isinstance(error, CorruptJobError | InvalidResultError) or job.is_last_attempt


def next_delay(job: Job, error: BaseException) -> int:
    """Milliseconds until the next attempt, twice as long each time, with jitter; -1 for no more."""
    if is_final(job, error):
        return -1
    longest: int = min(MAX_BACKOFF_MS, job.spec.backoff * 2 ** min(job.attempt - 1, 30))
    return round(longest * random.uniform(0.5, 1.0))  # noqa: S311  (not for secrets)


def interruption_error(job: Job, cause: BaseException | None = None) -> BaseException:
    """Why a job was made to end, as its error."""
    if job.interrupt == "timeout":
        return JobTimeoutError(f"it ran longer than {job.spec.timeout / 1000:g} s")
    if job.interrupt == "cancelled":
        return CancelledJobError("it was cancelled while it ran")
    if job.interrupt in {"lost", "stopped"}:
        return OperationTimeoutError("the lease ended, and another worker may have the job")
    return CorruptJobError("it ended without a reason") if cause is None else cause


def describe(error: BaseException) -> str:
    """The error's kind and text, cut to a size, as the server can store it."""
    if isinstance(error, HandlerFailedError):
        return _storable(f"{error.kind}: {error.text}")[:MAX_ERROR_CHARACTERS]
    return _storable(f"{type(error).__name__}: {_words(error)}")[:MAX_ERROR_CHARACTERS]


def describe_traceback(error: BaseException) -> str:
    """The end of the traceback; "" if there is none."""
    if isinstance(error, HandlerFailedError):
        return _storable(error.traceback)[-MAX_TRACEBACK_CHARACTERS:]
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001  (an error may raise anything when it is read)
        text = "".join(traceback.format_tb(error.__traceback__))
    return _storable(text)[-MAX_TRACEBACK_CHARACTERS:]


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as problem:  # noqa: BLE001  (__str__ is the user's code)
        return f"its text can't be read ({type(problem).__name__})"


def _storable(text: str) -> str:
    """Without lone surrogates, which no encoding of the protocol has."""
    return text.encode("utf-8", "replace").decode()
