"""Counters of a cache in this process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CacheStatistics:
    """Counters since the cache was created.

    Attributes:
        hits: Reads that found a value.
        misses: Reads that found none.
        errors: Calls that failed or were rejected by the circuit breaker.
        computed: Values that `get_or_compute` computed here.
        calls: Round trips.
        seconds: Total duration of the round trips.
    """

    hits: int = 0
    misses: int = 0
    errors: int = 0
    computed: int = 0
    calls: int = 0
    seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        """Hits among all reads, 0 to 1."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0

    @property
    def latency(self) -> float:
        """Seconds that a round trip takes on average."""
        return self.seconds / self.calls if self.calls else 0.0
