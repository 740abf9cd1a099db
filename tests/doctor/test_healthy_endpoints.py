"""No false alarms."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit_ops.doctor.finding import NOTE

from harness.endpoints import healthy


@pytest.mark.parametrize("name", healthy.ENDPOINTS)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    with healthy.ENDPOINTS[name](tmp_path) as case:
        report = case.examine()
    alarms = [
        one for one in report.findings if one.severity != NOTE and one.name not in healthy.EXPECTED_ALARMS.get(name, ())
    ]
    assert not alarms
    assert report.is_healthy
    assert report.state("version") != "skipped"


def test_there_are_twenty_and_more() -> None:
    assert len(healthy.ENDPOINTS) >= 20
