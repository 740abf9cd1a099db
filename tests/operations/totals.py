"""Totals of the commands that were killed, run at the same time and run in sequence, printed at the end of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from bench.report import Row, at_most
from tests.support.recorded_totals import RecordedTotals

if TYPE_CHECKING:
    from tests.operations.rounds import Round

ROUNDS = int(os.environ.get("ROUNDS", "10"))


@dataclass
class OperationsTotals(RecordedTotals):
    """rounds, failed: by case, such as "docker rotate, SIGKILL, then up". pairs, sequences: that failed, by all.

    acknowledged, reads: by kind of client.
    """

    name: ClassVar[str] = "operations"
    rounds: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    stale: int = 0
    locked_out: int = 0
    stuck: int = 0
    left_behind: int = 0
    killed: int = 0
    pairs: Counter[str] = field(default_factory=Counter)
    failed_pairs: Counter[str] = field(default_factory=Counter)
    sequences: int = 0
    failed_sequences: int = 0

    def add(self, played: Round) -> None:
        """Count a round."""
        case = played.case
        again = "again" if case.follow_up == case.command else case.follow_up
        name = f"{case.target} {case.command}, {case.kill.name}, then {again}"
        self.rounds[name] += 1
        self.failed[name] += bool(played.problems)
        self.stuck += played.is_stuck
        self.killed += played.was_killed
        self.moments[case.kill.moment] += played.was_killed
        self.record()

    def lines(self) -> Iterator[str]:
        for case, count in sorted(self.rounds.items()):
            yield f"{case:<70} {count:>6,}{_failures(self.failed[case])}"
        killed = ", ".join(f"{moment} {count}" for moment, count in sorted(self.moments.items()))
        yield f"{'rounds':<70} {self.rounds.total():>6,}{_failures(self.failed.total())}"
        yield f"killed before they ended: {self.killed:,} ({killed or 'none'})"
        for pair, count in sorted(self.pairs.items()):
            yield f"at the same time: {pair:<52} {count:>6,}{_failures(self.failed_pairs[pair])}"
        yield f"{'commands in sequence':<70} {self.sequences:>6,}{_failures(self.failed_sequences)}"
        yield f"acknowledged writes: {_by_kind(self.acknowledged)}; reads: {_by_kind(self.reads)}"
        yield f"lost: {self.lost:,}, stale reads: {self.stale:,}, rejected logins: {self.locked_out:,}"
        yield f"stacks that needed a manual fix: {self.stuck:,}, left behind by down: {self.left_behind:,}"

    def rows(self) -> list[Row]:
        """For docs/benchmarks.md."""
        by_command: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for case, count in self.rounds.items():
            by_command[case.partition(",")[0]] += count
            failed[case.partition(",")[0]] += self.failed[case]
        rounds = f"{self.rounds.total():,} rounds"
        return [
            *(
                at_most(f"{name}, killed: rounds of {count} that failed", failed[name], 0)
                for name, count in sorted(by_command.items())
            ),
            *(
                at_most(f"{pair}, at the same time: of {count} that failed", self.failed_pairs[pair], 0)
                for pair, count in sorted(self.pairs.items())
            ),
            at_most(f"commands in sequence: of {self.sequences:,} that failed", self.failed_sequences, 0),
            at_most(f"all: writes lost of {self.acknowledged.total():,} acknowledged", self.lost, 0),
            at_most(f"all: reads of {self.reads.total():,} that returned None or an older value", self.stale, 0),
            at_most("all: logins with the published password that were rejected", self.locked_out, 0),
            at_most(f"all: stacks that needed a manual fix in {rounds}", self.stuck, 0),
            at_most("all: containers, volumes, networks, processes, files and locks left by down", self.left_behind, 0),
        ]


def _failures(count: int) -> str:
    return f"  {count:,} failed" if count else ""


def _by_kind(counter: Counter[str]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counter.items()) or "0"


totals = OperationsTotals()
