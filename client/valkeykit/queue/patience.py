"""Which errors pass, and how long a caller waits for that. All calls of a queue may be sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from redis import exceptions as redis_errors

RETRY_FOR = 10.0
"""Seconds that a call is tried again: as long as a failover takes."""

_PASSING = (
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


def is_passing(error: Exception) -> bool:
    """Whether the same call may work a moment later. A refused login never does."""
    return isinstance(error, _PASSING) and not isinstance(
        error, redis_errors.AuthenticationError | redis_errors.AuthorizationError
    )


def pauses(seconds: float) -> Iterator[float]:
    """How long to wait before each further try, until `seconds` have passed; with jitter."""
    end = time.monotonic() + seconds
    pause = 0.02
    while time.monotonic() < end:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  (not for secrets)
        pause = min(pause * 2, 0.5)
