"""Latency: it is printed, and a warning where it is high.

It is no failure, since a busy machine or network delays a healthy server too. A server that doesn't respond at all
fails by the client's own time-out of 2 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def measure(command: Callable[[], object], count: int) -> list[float]:
    """The seconds that each of `count` calls took, in ascending order."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        command()
        times.append(time.perf_counter() - begin)
    return sorted(times)


def recorded(seconds: float, high_seconds: float, subject: str) -> tuple[str, str]:
    """Name and value of the property with which a check prints its latency."""
    value = f"{subject} {seconds * 1000:.1f} ms"
    if seconds < high_seconds:
        return "latency", value
    normal = f"normal is less than {high_seconds * 1000:.0f} ms"
    return "warning", f"{value}, {normal} -> check the network and the load of both machines"
