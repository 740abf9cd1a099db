"""Totals of the rounds in which nodes were damaged, printed at the end of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

ROUNDS = int(os.environ.get("ROUNDS", "10"))


@dataclass
class DamageTotals:
    """rounds: by case. confirmed, hasty: acknowledged writes with WAIT 1 and without. lost: keys."""

    rounds: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    hasty: int = 0
    lost: int = 0
    longest_make_up: float = 0.0

    def add(self, case: str, confirmed: int, hasty: int, lost: int) -> None:
        self.rounds[case] += 1
        self.confirmed += confirmed
        self.hasty += hasty
        self.lost += lost

    def lines(self) -> Iterator[str]:
        for case, count in sorted(self.rounds.items()):
            yield f"{case:<70} {count:>6,}"
        yield f"{'rounds':<70} {sum(self.rounds.values()):>6,}"
        yield f"acknowledged writes: {self.confirmed:,} with WAIT 1, {self.hasty:,} without; keys lost: {self.lost:,}"
        yield f"longest make up (the driver alone): {self.longest_make_up:.1f} s"


totals = DamageTotals()
