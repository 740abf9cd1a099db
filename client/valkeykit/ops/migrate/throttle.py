"""Keeps a copy from hurting its source: a limit of keys a second, and one of the source's latency."""

from __future__ import annotations

import threading
import time

SMALLEST = 10
"""Keys of a batch, however slow the source is."""

GROWTH = 1.2

LONGEST = 1.0
"""Seconds that one slow answer holds a batch back."""


class Throttle:
    """Says how large the next batch is, and waits between two. Shared by all threads.

    rate: keys a second at most, None for no limit.
    max_latency: milliseconds, None for no limit.
    batch: keys of a batch while nothing slows down.
    """

    def __init__(self, rate: int | None, max_latency: float | None, batch: int) -> None:
        self._rate = rate
        self._max_latency = max_latency
        self._largest = batch
        self._size = float(batch)
        self._guard = threading.Lock()
        self._free_at = time.monotonic()

    @property
    def watches(self) -> bool:
        """Whether the source's latency is to be measured."""
        return self._max_latency is not None

    @property
    def size(self) -> int:
        """Keys of the next batch."""
        rate = self._rate or self._largest
        return max(1, min(int(self._size), rate))

    def pace(self, keys: int) -> None:
        """Wait until so many keys fit under the rate."""
        with self._guard:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + (keys / self._rate if self._rate else 0.0)
        time.sleep(start - now)

    def saw(self, milliseconds: float) -> None:
        """What a PING took while batches ran: above the limit they halve, and the next one waits as long."""
        if self._max_latency is None:
            return
        with self._guard:
            if milliseconds > self._max_latency:
                self._size = max(SMALLEST, self._size / 2)
                self._free_at = max(self._free_at, time.monotonic()) + min(milliseconds / 1000, LONGEST)
            else:
                self._size = min(self._largest, self._size * GROWTH)
