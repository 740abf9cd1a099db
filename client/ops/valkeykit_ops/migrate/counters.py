"""Thread-safe counters of a run."""

from __future__ import annotations

import threading
from collections import Counter


class Counters:
    """Numbers by name."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, number: int = 1) -> None:
        with self._guard:
            self._counts[name] += number

    def get(self, name: str) -> int:
        with self._guard:
            return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        with self._guard:
            return {name: number for name, number in sorted(self._counts.items()) if number}
