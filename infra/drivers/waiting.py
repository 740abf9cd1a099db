"""Waiting for what takes a moment, with an end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

POLL_SECONDS = 0.01

RARE_POLL_SECONDS = 0.5

POLL_SHARE = 0.1
"""Of the time that was waited so far: how much longer it may take to notice what has happened."""


def until(seconds: float, every: float = POLL_SECONDS) -> Iterator[None]:
    """Once at once, then every few milliseconds, and more rarely the longer it takes, until the time is over.

    A question to a container costs a machine more than the server's answer: those that come too often slow down
    what is waited for.
    """
    begun = time.monotonic()
    for _ in itertools.count():
        yield None
        waited = time.monotonic() - begun
        if waited > seconds:
            return
        time.sleep(max(every, min(RARE_POLL_SECONDS, waited * POLL_SHARE)))
