"""How a job ended, and what the server is told of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from valkeykit.queue.job import CorruptJobError, Job

MAX_BACKOFF = 3_600_000
"""Milliseconds, an hour: the longest wait between two attempts."""

MAX_ERROR = 2000
"""Characters of an error that are kept."""


class Outcome(NamedTuple):
    """error is None for a job that is done."""

    job: Job
    value: Any = None
    error: BaseException | None = None


class Report(NamedTuple):
    """Flat arguments of the scripts: plain and with_results for finish, failed for fail."""

    plain: list[Any]
    with_results: list[Any]
    failed: list[Any]
    cancelled: list[Job]


def report(outcomes: Iterable[Outcome]) -> Report:
    """Sort outcomes by what is to be told. One whose lease was lost is told too: the fence decides."""
    plain: list[Any] = []
    with_results: list[Any] = []
    failed: list[Any] = []
    cancelled: list[Job] = []
    for job, value, error in outcomes:
        if error is not None:
            if job.interrupt == "cancelled":
                cancelled.append(job)
            else:
                failed += (job.key, job.attempt, next_delay(job, error), describe(error))
        elif job.spec.result_ttl and value is not None:
            encoded = _encode(value)
            if isinstance(encoded, str):
                with_results += (job.key, job.attempt, job.spec.result_ttl, encoded)
            else:
                failed += (job.key, job.attempt, -1, f"the result isn't JSON: {encoded}")
        elif job.spec.result_ttl:
            with_results += (job.key, job.attempt, job.spec.result_ttl, "null")
        else:
            plain += (job.key, job.attempt)
    return Report(plain, with_results, failed, cancelled)


def _encode(value: Any) -> str | Exception:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        return problem


def next_delay(job: Job, error: BaseException) -> int:
    """Milliseconds until the next attempt, twice as long each time, with jitter; -1 for no more."""
    if isinstance(error, CorruptJobError) or job.attempt >= job.spec.attempts:
        return -1
    longest: int = min(MAX_BACKOFF, job.spec.backoff * 2 ** min(job.attempt - 1, 30))
    return round(longest * random.uniform(0.5, 1.0))  # noqa: S311  (not for secrets)


def describe(error: BaseException) -> str:
    """The error's kind and text, cut to a size."""
    return f"{type(error).__name__}: {error}"[:MAX_ERROR]
