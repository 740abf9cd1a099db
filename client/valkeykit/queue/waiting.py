"""How a caller waits for a job's result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from valkeykit.errors import InvalidJobError, JobFailedError, TimedOutError
from valkeykit.queue.answers import JobState
from valkeykit.queue.options import milliseconds


def pauses(timeout: float) -> Iterator[float]:
    """Seconds between two looks: short at first, a quarter of a second later on.

    Raises:
        InvalidJobError: the time can't be used.
    """
    return _pauses(time.monotonic() + milliseconds("timeout", timeout) / 1000)


def _pauses(end: float) -> Iterator[float]:
    pause = 0.002
    yield pause
    while time.monotonic() < end:
        pause = min(pause * 1.5, 0.25)
        yield pause


def is_over(state: JobState) -> bool:
    return state.state in {"completed", "dead", "missing"}


def result(state: JobState) -> Any:
    """What the job returned.

    Raises:
        JobFailedError: it is a dead letter.
        InvalidJobError: nothing is known of it.
        TimedOutError: it isn't done.
    """
    if state.state == "completed":
        return state.result
    if state.state == "dead":
        raise JobFailedError(
            f"job {state.id} failed: {state.error}", fix="find the cause with dead_letters(), then requeue it"
        )
    if state.state == "missing":
        raise InvalidJobError(
            f"job {state.id} is unknown: it is done and kept no result, was cancelled, or was never added",
            fix="add it with result_ttl=3600",
        )
    raise TimedOutError(f"job {state.id} is still {state.state}", fix="wait longer, or run more workers")
