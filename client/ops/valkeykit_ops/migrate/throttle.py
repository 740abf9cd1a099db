"""Throttle: limits keys per second and the source's latency."""

from __future__ import annotations

import threading
import time

MIN_BATCH_KEYS = 10
"""Minimum keys per batch."""

BATCH_GROWTH = 1.2
"""Factor by which batches grow while the source responds fast."""

MAX_PAUSE_SECONDS = 1.0
"""Maximum pause after a slow reply."""


class Throttle:
    """Sets the size of batches and the pauses between them. Thread-safe.

    Args:
        rate: Maximum keys per second; None for no limit.
        max_latency: Milliseconds; None for no limit.
        batch: Keys per batch without a slowdown.
    """

    def __init__(self, rate: int | None, max_latency: float | None, batch: int) -> None:
        self._rate = rate
        self._max_latency = max_latency
        self._largest = batch
        self._size = float(batch)
        self._guard = threading.Lock()
        self._free_at = time.monotonic()

    @property
    def limits_latency(self) -> bool:
        """Whether the source's latency must be measured."""
        return self._max_latency is not None

    @property
    def size(self) -> int:
        """Keys of the next batch."""
        rate = self._rate or self._largest
        return max(1, min(int(self._size), rate))

    def pace(self, keys: int) -> None:
        """Wait until the rate permits this number of keys."""
        with self._guard:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + (keys / self._rate if self._rate else 0.0)
        time.sleep(start - now)

    def on_sample(self, milliseconds: float) -> None:
        """Record the duration of a PING: above the limit, batches halve and the next one waits."""
        if self._max_latency is None:
            return
        with self._guard:
            if milliseconds > self._max_latency:
                self._size = max(MIN_BATCH_KEYS, self._size / 2)
                self._free_at = max(self._free_at, time.monotonic()) + min(milliseconds / 1000, MAX_PAUSE_SECONDS)
            else:
                self._size = min(self._largest, self._size * BATCH_GROWTH)
