"""Commands that are killed at any moment while applications write and read, and what the operator runs next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.docker import NEW, OLD
from infra.hardening import Topology
from tests.operations.conftest import Harness
from tests.operations.rounds import TARGETS, TOPOLOGIES, Case, Round, cases
from tests.operations.stack import Target
from tests.operations.totals import totals

GROUPS = [(target, topology) for target in TARGETS for topology in TOPOLOGIES if cases(target, topology)]


@pytest.mark.parametrize(("target", "topology"), GROUPS)
def test_no_killed_command_needs_a_manual_fix(
    harness_of: Callable[[Target, Topology], Harness], target: Target, topology: Topology
) -> None:
    harness = harness_of(target, topology)
    failures = [report for case in cases(target, topology) for report in _play(harness, case)]
    failures += [f"after the last round: {line}" for line in harness.end()]
    if failures:
        pytest.fail("\n\n".join(failures), pytrace=False)


def _play(harness: Harness, case: Case) -> list[str]:
    """Play a round; returns a report of a failed one, whose stack is removed."""
    report = []
    if case.command == "upgrade" and harness.deployment and harness.deployment.version != OLD:
        report += [f"before {case.repeat}: {line}" for line in harness.end()]
    deployment, applications = harness.get(OLD if case.target == "docker" else NEW)
    played = Round(deployment, applications, case=case)
    played.play()
    if case.command == "upgrade":
        deployment.version = NEW
    totals.add(played)
    if played.problems:
        harness.discard()
        report.append(_describe(played))
    return report


def _describe(played: Round) -> str:
    problems = "\n".join(f"- {problem}" for problem in played.problems)
    runs = "\n".join(str(run) for run in played.runs)
    return f"{played.case}\nagain: {played.case.repeat}\n{problems}\n{runs}"
