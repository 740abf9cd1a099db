"""How many jobs a worker takes at once: as many as it works off in a short time."""

from __future__ import annotations

import time

AHEAD = 0.05
"""Seconds of work that a worker takes ahead, so that short jobs don't wait for round trips."""

MOST = 1000


class Pace:
    """Watches how fast jobs end while there is work.

    limited: whether the queue has a rate limit, which counts jobs when they are taken: then none is taken ahead.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._rate = 0.0
        self._since = time.monotonic()
        self.limited = False

    def room(self, ready: int, busy: int) -> int:
        """How many more jobs to take now."""
        free = self._concurrency - busy - ready
        if self.limited:
            return max(free, 0)
        ahead = min(MOST, int(self._rate * AHEAD))
        if ready > ahead // 2 and free <= 0:
            return 0
        return min(MOST, max(free, 0) + ahead - min(ready, ahead))

    def begin(self, *, idle: bool) -> None:
        """Work was handed out; time before it doesn't count if there was none."""
        if idle:
            self._since = time.monotonic()

    def ended(self, jobs: int) -> None:
        now = time.monotonic()
        rate = jobs / max(now - self._since, 1e-6)
        # Jobs that take longer than AHEAD leave nothing to take ahead.
        self._rate = 0.7 * self._rate + 0.3 * rate
        self._since = now

    def reset(self) -> None:
        self._rate = 0.0
