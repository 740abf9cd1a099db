"""Circuit breaker: no calls to a server for a while after consecutive failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """A circuit breaker. Closed: calls are sent. Open: no call is sent. Half open: one call is tried."""

    def __init__(self, failures: int = 3, cooldown: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Create a closed breaker.

        Args:
            failures: Consecutive failures that open it.
            cooldown: Seconds that it stays open before one call is tried.
            clock: Returns the time in seconds.
        """
        self._limit = failures
        self._cooldown = cooldown
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are rejected now."""
        return self._failed >= self._limit and self._clock() < self._retry_at

    def allows(self) -> bool:
        """Whether the call may be sent. While the breaker is half open, this is true for one caller only."""
        if self._failed < self._limit:
            return True
        with self._lock:
            now = self._clock()
            if now < self._retry_at:
                return False
            self._retry_at = now + self._cooldown
            return True

    def succeeded(self) -> None:
        """Note a successful call, which closes the breaker."""
        self._failed = 0

    def failed(self) -> None:
        """Note a failed call, which may open the breaker."""
        with self._lock:
            self._failed += 1
            self._retry_at = self._clock() + self._cooldown
