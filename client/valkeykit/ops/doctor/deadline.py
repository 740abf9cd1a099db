"""A limit for what can't be interrupted: a name server's silence, an answer of a byte a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

TOTAL = 3.5
"""Seconds for all layers."""

Result = TypeVar("Result")


class OutOfTimeError(Exception):
    """It took longer than it may. Internal: every one becomes a finding."""


class Deadline:
    """The end of the whole examination."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self._end - time.monotonic(), 0.0)

    def run(self, seconds: float, function: Callable[[], Result]) -> Result:
        """The function's result. It runs in a thread that is left alone when it takes longer.

        Raises:
            OutOfTimeError: it took longer than `seconds`, or the deadline came.
        """
        results: list[Result] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                results.append(function())
            except BaseException as problem:  # noqa: BLE001  (it is raised where it is waited for)
                failures.append(problem)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(min(seconds, self.left))
        if failures:
            raise failures[0]
        if results:
            return results[0]
        raise OutOfTimeError
