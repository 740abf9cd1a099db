"""The verdict of a report has a reason."""

from __future__ import annotations

import pytest
from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.reconcile import Verification
from valkeykit_ops.migrate.report import MigrationReport


def report(
    verification: Verification | None, *, unmovable: int = 0, complete: bool = False, keys: int = 10
) -> MigrationReport:
    plan = MigrationPlan("redis 7.0.15 at a:1", "valkey 9.1.2 at b:2", keys, 1.0)
    return MigrationReport(plan, complete=complete, verification=verification, unmovable=unmovable)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (report(Verification(), complete=True),
         "Complete, but no key of the source is in scope: check the pattern, the types and the databases."),
        (report(Verification(), complete=True, keys=0), "Complete, but the source has no keys: check its URL."),
        (report(Verification(compared=9), complete=True), "Complete: every key was equal on both servers."),
        (report(Verification(compared=9), complete=True, unmovable=2),
         "Complete: every key was equal on both servers, except 2 that the target does not support."),
        (report(Verification(compared=9, kept=1), complete=True, unmovable=2),
         ("Complete: every key was equal on both servers, except 2 that the target does not support "
          "and 1 that the target had before and keeps.")),
        (report(Verification(missing=3, unstable=1), unmovable=2),
         "Incomplete: 3 keys are missing; 1 keys are unstable; the target does not support 2 keys."),
        (report(Verification(evicted=7)), "Incomplete: the target evicted 7 keys during the verification."),
        (report(None), "Incomplete: nothing was compared."),
    ],
)  # fmt: skip
def test_verdicts(made: MigrationReport, verdict: str) -> None:
    assert made.verdict == verdict
    assert made.record()["verdict"] == verdict


def test_a_samples_verdict_is_a_bound() -> None:
    made = report(Verification(full=False, compared=2000, bound=3 / 2000))
    made.sampled = True
    assert made.verdict.endswith("so at most 0.15% of all keys do, with 95 % confidence.")
