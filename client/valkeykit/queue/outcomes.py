"""How a job ended, and what the server is told of it."""

from __future__ import annotations

import json
import random
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from valkeykit.queue.job import Job
from valkeykit.queue.processes import HandlerFailedError
from valkeykit.queue.schema import CorruptJobError

MAX_BACKOFF = 3_600_000
"""Milliseconds, an hour: the longest wait between two attempts."""

MAX_ERROR = 2000
"""Characters of an error that are kept."""

MAX_TRACEBACK = 8000
"""Characters of a dead letter's traceback that are kept, the last ones."""

REPORT_JOBS = 1000
REPORT_BYTES = 1024 * 1024
"""What one report holds; it goes beyond by one job at most."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class InvalidResultError(Exception):
    """The job ran, and its result can't be kept. It is not tried again."""


class EncodedResult(str):
    """A result that is JSON text already."""

    __slots__ = ()


class Outcome(NamedTuple):
    """error is None for a job that is done."""

    job: Job
    value: Any = None
    error: BaseException | None = None


@dataclass
class Report:
    """Outcomes by the call that reports them, and its flat arguments.

    plain, with_results: of finish. failed: of fail. cancelled: of drop.
    """

    done: list[Outcome] = field(default_factory=list)
    plain: list[Any] = field(default_factory=list)
    with_results: list[Any] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)
    cancellations: list[Outcome] = field(default_factory=list)
    cancelled: list[Any] = field(default_factory=list)


def take_report(outcomes: deque[Outcome], max_result: int) -> Report:
    """Take as many outcomes as one report may hold. A job whose lease was lost is reported too: the fence decides."""
    report, size, left = Report(), 0, REPORT_JOBS
    while outcomes and left and size < REPORT_BYTES:
        outcome = outcomes.popleft()
        left -= 1
        job, value, error = outcome
        if job.interrupt == "stopped":
            continue  # it was given back
        if error is None and job.spec.result_ttl:
            try:
                encoded = encode_result(value, max_result)
            except InvalidResultError as problem:
                outcome = outcome._replace(error=problem)
                error = problem
            else:
                report.with_results += (job.key, job.attempt, job.spec.result_ttl, encoded)
                size += len(encoded)
        elif error is None:
            report.plain += (job.key, job.attempt)
        if error is None:
            report.done.append(outcome)
        elif job.interrupt == "cancelled":
            report.cancelled += (job.key, job.attempt)
            report.cancellations.append(outcome)
        else:
            delay = next_delay(job, error)
            trace = describe_traceback(error) if delay < 0 else ""
            report.failed += (job.key, job.attempt, delay, describe(error), trace)
            size += MAX_ERROR + len(trace)
            report.failures.append(outcome)
    return report


def encode_result(value: Any, max_result: int) -> str:
    """A result as JSON.

    Raises:
        InvalidResultError: it isn't JSON, or it is too large.
    """
    try:
        text = value if isinstance(value, EncodedResult) else _encode(value)
    except BaseException as problem:  # noqa: BLE001  (a value may raise anything when it is read)
        raise InvalidResultError(f"the result isn't JSON: {_words(problem)}") from None
    if len(text) > max_result:
        raise InvalidResultError(f"the result takes {len(text)} bytes, and max_result is {max_result}")
    return text


def is_final(job: Job, error: BaseException) -> bool:
    """Whether this error makes the job a dead letter."""
    return isinstance(error, CorruptJobError | InvalidResultError) or job.is_last_attempt


def next_delay(job: Job, error: BaseException) -> int:
    """Milliseconds until the next attempt, twice as long each time, with jitter; -1 for no more."""
    if is_final(job, error):
        return -1
    longest: int = min(MAX_BACKOFF, job.spec.backoff * 2 ** min(job.attempt - 1, 30))
    return round(longest * random.uniform(0.5, 1.0))  # noqa: S311  (not for secrets)


def describe(error: BaseException) -> str:
    """The error's kind and text, cut to a size, as the server can store it."""
    if isinstance(error, HandlerFailedError):
        return _storable(f"{error.kind}: {error.text}")[:MAX_ERROR]
    return _storable(f"{type(error).__name__}: {_words(error)}")[:MAX_ERROR]


def describe_traceback(error: BaseException) -> str:
    """The end of the traceback; "" where there is none."""
    if isinstance(error, HandlerFailedError):
        return _storable(error.traceback)[-MAX_TRACEBACK:]
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001  (an error may raise anything when it is read)
        text = "".join(traceback.format_tb(error.__traceback__))
    return _storable(text)[-MAX_TRACEBACK:]


def jobs_of(outcomes: Sequence[Outcome]) -> list[Job]:
    return [outcome.job for outcome in outcomes]


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as problem:  # noqa: BLE001  (__str__ is the user's code)
        return f"its text can't be read ({type(problem).__name__})"


def _storable(text: str) -> str:
    """Without lone surrogates, which no encoding of the protocol has."""
    return text.encode("utf-8", "replace").decode()
