"""Polling with a time limit."""

from __future__ import annotations

import time
from collections.abc import Iterator

MIN_INTERVAL_SECONDS = 0.01

MAX_POLL_INTERVAL_SECONDS = 0.5

INTERVAL_SHARE = 0.1
"""The interval as a share of the time waited so far."""


def until(seconds: float, every: float = MIN_INTERVAL_SECONDS, poll_seconds: float = float("inf")) -> Iterator[None]:
    """Yield immediately, then at growing intervals, until the time is over.

    A command in a container is expensive: polling too often would slow down the operation itself.

    poll_seconds: the most that the caller's work between two polls counts.
    """
    waited = 0.0
    while True:
        begun = time.monotonic()
        yield None
        waited += min(time.monotonic() - begun, poll_seconds)
        if waited > seconds:
            return
        interval = max(every, min(MAX_POLL_INTERVAL_SECONDS, waited * INTERVAL_SHARE))
        time.sleep(interval)
        waited += interval
