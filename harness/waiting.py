"""Waiting for a condition, with a limit that only catches hangs.

The interval stays short: tests look for states that pass, while `infra.drivers.waiting` polls less and less often.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WAIT_SECONDS = 120.0

POLL_INTERVAL_SECONDS = 0.02


def wait_until(
    condition: Callable[[], object],
    seconds: float = WAIT_SECONDS,
    problem: str | Callable[[], str] = "it did not happen",
    every: float = POLL_INTERVAL_SECONDS,
) -> None:
    """Wait until a condition is true.

    Args:
        problem: the message of the error, or what returns it.
        every: seconds between two attempts.

    Raises:
        AssertionError: the condition is still false after that time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(problem() if callable(problem) else problem)
        time.sleep(every)


def retry(action: Callable[[], T], *passing: type[Exception], seconds: float = WAIT_SECONDS) -> T:
    """The result of an action, which is repeated while it raises one of these errors, at most for that time."""
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except passing:
            if time.monotonic() > end:
                raise
        time.sleep(POLL_INTERVAL_SECONDS)
