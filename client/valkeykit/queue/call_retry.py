"""Retries of calls, each of which may be sent again: the transient errors, and the pauses between two attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from redis import exceptions as redis_errors

from valkeykit.queue.job_options import milliseconds

CALL_RETRY_SECONDS = 10.0
"""Seconds for which a call is retried: as long as a failover takes."""

_TRANSIENT_ERRORS = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.ReadOnlyError,
    redis_errors.MasterDownError,
    redis_errors.ClusterError,  # CLUSTERDOWN, and slots that move for longer than redis-py follows
    redis_errors.TryAgainError,
    redis_errors.RedisClusterException,
    OSError,
)


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed a moment later. A rejected login never does."""
    return isinstance(error, _TRANSIENT_ERRORS) and not isinstance(
        error, redis_errors.AuthenticationError | redis_errors.AuthorizationError
    )


def backoff(seconds: float) -> Iterator[float]:
    """Pauses before each further attempt, doubling up to 0.5 s with jitter, until `seconds` have passed."""
    end = time.monotonic() + seconds
    pause = 0.02
    while time.monotonic() < end:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  (not for secrets)
        pause = min(pause * 2, 0.5)


def poll_intervals(timeout: float) -> Iterator[float]:
    """Pauses between two queries of a job's state, growing from 2 ms to 0.25 s until `timeout` seconds have passed.

    Raises:
        InvalidJobError: The time can't be used.
    """
    return _intervals(time.monotonic() + milliseconds("timeout", timeout) / 1000)


def _intervals(end: float) -> Iterator[float]:
    pause = 0.002
    yield pause
    while time.monotonic() < end:
        pause = min(pause * 1.5, 0.25)
        yield pause
