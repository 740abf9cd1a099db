"""Deadline for operations that cannot be interrupted, such as a DNS query."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

TOTAL_SECONDS = 3.5
"""Time limit for all layers; a far server gets more."""

Result = TypeVar("Result")


class OutOfTimeError(Exception):
    """The time limit was reached. Internal: it always becomes a finding."""


class Deadline:
    """The deadline of the examination."""

    def __init__(self, seconds: float) -> None:
        self._began, self._seconds = time.monotonic(), seconds
        self._extension = 0.0

    def extend(self, seconds: float) -> None:
        """Allow more time in total. Only the longest extension counts, since nodes are examined in parallel."""
        self._extension = max(self._extension, seconds)

    @property
    def left(self) -> float:
        """Remaining seconds."""
        return max(self._began + self._seconds + self._extension - time.monotonic(), 0.0)

    def run(self, seconds: float, function: Callable[[], Result]) -> Result:
        """Return the function's result. It runs in a thread, which is abandoned after the time limit.

        Raises:
            OutOfTimeError: It took longer than `seconds`, or the deadline was reached.
        """
        results: list[Result] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                results.append(function())
            except BaseException as problem:  # noqa: BLE001  (raised in the calling thread)
                failures.append(problem)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(min(seconds, self.left))
        if failures:
            raise failures[0]
        if results:
            return results[0]
        raise OutOfTimeError
