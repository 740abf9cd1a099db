"""Totals of the rounds in which nodes were damaged, printed at the end of a run."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from bench.report import Row, at_most
from tests.support.recorded_totals import RecordedTotals

ROUNDS = int(os.environ.get("ROUNDS", "10"))

PUBLISHED = 50
"""Rounds of a case from which on docs/benchmarks.md has a row of it."""


@dataclass
class DamageTotals(RecordedTotals):
    """rounds, lost: by case; lost counts keys. confirmed, hasty: acknowledged writes with WAIT 1 and without."""

    name: ClassVar[str] = "damage"
    rounds: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    hasty: int = 0
    longest_make_up: float = 0.0

    def add(self, case: str, confirmed: int, hasty: int, lost: int) -> None:
        self.rounds[case] += 1
        self.confirmed += confirmed
        self.hasty += hasty
        self.lost[case] += lost
        self.record()

    def lines(self) -> Iterator[str]:
        for case, count in sorted(self.rounds.items()):
            yield f"{case:<70} {count:>6,}"
        yield f"{'rounds':<70} {sum(self.rounds.values()):>6,}"
        lost = sum(self.lost.values())
        yield f"acknowledged writes: {self.confirmed:,} with WAIT 1, {self.hasty:,} without; keys lost: {lost:,}"
        yield f"longest make up (the driver alone): {self.longest_make_up:.1f} s"

    def rows(self) -> list[Row]:
        """For docs/benchmarks.md: the known losses by themselves, all other cases of a topology in one row."""
        known = {case: count for case, count in sorted(self.rounds.items()) if count >= PUBLISHED}
        result = [at_most(f"{case}: keys lost in {count} rounds", self.lost[case], 0) for case, count in known.items()]
        others = [case for case in self.rounds if case not in known]
        for topology, group in itertools.groupby(sorted(others), key=lambda case: case.split()[0]):
            cases = list(group)
            rounds = sum(self.rounds[case] for case in cases)
            name = f"{topology}, other cases of damage ({len(cases)}): keys lost in {rounds} rounds"
            result.append(at_most(name, sum(self.lost[case] for case in cases), 0))
        name = f"all: keys lost of {self.confirmed:,} acknowledged writes with WAIT 1 and {self.hasty:,} without"
        return [*result, at_most(name, sum(self.lost.values()), 0)]


totals = DamageTotals()
