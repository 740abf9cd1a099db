"""Polling with a time limit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

MIN_INTERVAL_SECONDS = 0.01

MAX_INTERVAL_SECONDS = 0.5

INTERVAL_SHARE = 0.1
"""The interval as a share of the time waited so far."""


def until(seconds: float, every: float = MIN_INTERVAL_SECONDS) -> Iterator[None]:
    """Yield immediately, then at growing intervals, until the time is over.

    A command in a container is expensive: polling too often would slow down the operation itself.
    """
    begun = time.monotonic()
    for _ in itertools.count():
        yield None
        waited = time.monotonic() - begun
        if waited > seconds:
            return
        time.sleep(max(every, min(MAX_INTERVAL_SECONDS, waited * INTERVAL_SHARE)))
