"""Waiting for what takes a moment, with an end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

POLL_SECONDS = 0.01


def until(seconds: float, every: float = POLL_SECONDS) -> Iterator[None]:
    """Once at once, then every few milliseconds until the time is over."""
    deadline = time.monotonic() + seconds
    for _ in itertools.count():
        yield None
        if time.monotonic() > deadline:
            return
        time.sleep(every)
