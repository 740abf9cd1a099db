"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from infra.errors import ProvisioningError

_POLL_SECONDS = 0.2
_FIX = "docker logs says why; then run the same command again, it goes on from here"


def wait_until(condition: Callable[[], bool], seconds: float, problem: str) -> None:
    """Ask again and again until it is so.

    Raises:
        ProvisioningError: the time is over; `problem` says what isn't so.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ProvisioningError(problem, fix=_FIX)
        time.sleep(_POLL_SECONDS)
