"""Totals of a test run, printed at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass
class Totals:
    """killed_at_start: jobs whose worker was killed after the server had noted their last attempt, before it began."""

    rounds: int = 0
    acknowledged_jobs: int = 0
    runs: int = 0
    lost_jobs: int = 0
    dead_that_never_ran: int = 0
    killed_at_start: int = 0
    stuck_workers: int = 0

    def lines(self) -> Iterator[str]:
        for field in fields(self):
            yield f"{field.name.replace('_', ' '):<20} {getattr(self, field.name):>10,}"


totals = Totals()
