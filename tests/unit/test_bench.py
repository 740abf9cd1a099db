"""The page of the benchmarks has what was measured, and lists missed goals as such."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import page, report
from bench.report import at_least, at_most
from tests.docker.totals import DamageTotals
from tests.support import recorded_totals


def test_the_page_is_made_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    report.publish("queue", [at_least("jobs/s", 42_329, 1_933.4, "dramatiq", 8), at_most("p50, ms", 2.5, 2)])
    lines = page.render(page.read(tmp_path), "a machine").splitlines()
    assert "a machine" in lines
    assert "## Job queue: `make bench ONLY=queue`" in lines
    assert "| jobs/s | 42,329 | 1,933, dramatiq | 21.89 | 8 | met |" in lines
    assert "| p50, ms | 2.50 |  |  | 2 | missed |" in lines
    assert not any("ONLY=up" in line for line in lines if line.startswith("##"))


def test_totals_of_several_runs_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_totals, "FOLDER", tmp_path)
    for number, seconds in enumerate((2.5, 1.5)):
        monkeypatch.setattr(recorded_totals, "_RUN", f"run-{number}")
        run = DamageTotals(longest_make_up=seconds)
        for lost in (0, number):
            run.add("cluster primary, empty", 10, 20, lost)
    every = DamageTotals.of_all_runs()
    assert (every.rounds.total(), every.lost.total(), every.confirmed, every.hasty) == (4, 1, 40, 80)
    assert every.longest_make_up == 2.5
    assert [(row.name, row.ours) for row in every.rows()] == [
        ("cluster, other cases of damage (1): keys lost in 4 rounds", 1),
        ("all: keys lost of 40 acknowledged writes with WAIT 1 and 80 without", 1),
    ]


def test_a_case_of_many_rounds_has_a_row_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_totals, "FOLDER", tmp_path)
    run = DamageTotals()
    for case, rounds in (("cluster primary, empty", 60), ("cluster primary, cut", 2), ("replicated replica, cut", 1)):
        for _ in range(rounds):
            run.add(case, 1, 1, 0)
    assert [row.name for row in run.rows()][:3] == [
        "cluster primary, empty: keys lost in 60 rounds",
        "cluster, other cases of damage (1): keys lost in 2 rounds",
        "replicated, other cases of damage (1): keys lost in 1 rounds",
    ]
