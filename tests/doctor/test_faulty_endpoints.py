"""Every row of the error table is recognized on a real server in that state, and so is what has no row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, NOTE, POSSIBLE, PROBLEM, WARNING, DoctorReport

from harness.endpoints import cases, faulty, unhealthy
from harness.endpoints.cases import EndpointCase
from harness.waiting import WAIT_SECONDS, wait_until
from tests.support import fixes

PAGE = Path(__file__).parents[2] / "docs" / "client" / "doctor.md"
SECRETS = ("right@", "right'", "wrong-secret")
HARMLESS = {"multi-refused"}
"""Notes: nothing is wrong with the server."""

WARNINGS = {
    "cross-slot", "expires-soon", "no-replica", "no-limit", "nearly-full", "off", "clients-near", "slow-command",
    "vulnerable", "ended", "too-much", "info-refused",
}  # fmt: skip


LOGIN = "default\nanything\n"
"""The default user of these servers needs no password, and may do everything."""

FIXABLE = {
    "no-credentials": "right\n",
    "wrong-password": "right\n",
    "not-permitted": LOGIN,
    "out-of-memory": "",
    "cluster-met-by-single": "",
    "cluster-down": "",
    "single-met-by-cluster": "",
    "replica-written": "",
    "disk-refuses": "",
    "too-few-replicas": "",
    "busy-script": "",
    "tls-port": "",
    "no-tls": "",
    "unknown-authority": "{folder}/certificate.pem\n",
    "wrong-host-name": "",
    "client-certificate": "{folder}/certificate.pem\n{folder}/key.pem\n",
    "sentinel-port": "",
    "no-limit": "",
    "nearly-full": "",
    "policy": "",
    "off": "",
    "clients-near": "",
    "too-much": LOGIN,
    "multi-refused": LOGIN,
    "no-database": "",
    "info-refused": LOGIN,
}
"""States that the printed fix ends, with what the operator types. The fix of each other one shows more."""

NEXT = {"tls-port": {"unknown-authority"}}
"""What is found next: the port's certificate needs its authority."""


@pytest.mark.parametrize("name", [*faulty.TABLE_ROWS, *unhealthy.OTHER_STATES])
def test_what_is_found(name: str, tmp_path: Path) -> None:
    with (faulty.TABLE_ROWS | unhealthy.OTHER_STATES)[name](tmp_path) as case:
        report = case.examine()
        if name in FIXABLE:
            _is_fixed(name, case, report, tmp_path)
    assert report.seconds < WAIT_SECONDS  # a guard against a hang; speed is measured in bench/
    expected = cases.finding_of(name)
    severity = NOTE if expected in HARMLESS else WARNING if expected in WARNINGS else PROBLEM
    found = [one for one in report.findings if one.name == expected]
    assert found, [(one.severity, one.name) for one in report.findings]
    assert found[0].severity == severity
    assert report.is_healthy == (severity != PROBLEM)
    _is_well_said(report)


def _is_fixed(name: str, case: EndpointCase, report: DoctorReport, folder: Path) -> None:
    """Run every printed fix of the finding, in a shell that has only this package, and examine again."""
    if name == "disk-refuses":
        (folder / "dump.rdb").rmdir()  # as the finding says, the cause comes first
    variables: dict[str, str] = {}
    for fix in dict.fromkeys(one.fix for one in report.findings if one.name == name):
        variables |= fixes.run(fix, folder, FIXABLE[name].format(folder=folder))

    def names() -> set[str]:
        again = case.examine(variables)
        return {one.name for one in again.findings if one.severity == PROBLEM or one.name == name}

    wait_until(lambda: names() <= NEXT.get(name, set()), 60, problem=lambda: f"still {names()}")


def _is_well_said(report: DoctorReport) -> None:
    for one in report.findings:
        assert one.what
        assert one.why
        assert one.fix
        assert one.node
        assert one.confidence in (CERTAIN, LIKELY, POSSIBLE)
        assert not re.search(r"\{\w+\}", one.fix), one.fix
    text = json.dumps(report.record()) + repr(report)
    assert not any(secret in text for secret in SECRETS)


def test_each_row_of_the_table_has_an_endpoint() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == 23
    assert set(rows) == {cases.finding_of(name) for name in faulty.TABLE_ROWS}


def test_a_server_that_rejects_writes_is_examined_to_the_end(tmp_path: Path) -> None:
    """It rejects PING as well."""
    with faulty.TABLE_ROWS["disk-refuses"](tmp_path) as case:
        report = case.examine()
    assert {"disk-refuses", "save-failed"} <= {one.name for one in report.findings}
    assert report.state("version") == "ok"


def test_a_lower_layer_stops_the_higher_ones(tmp_path: Path) -> None:
    with faulty.TABLE_ROWS["refused"](tmp_path) as case:
        report = case.examine()
    assert report.state("tcp") == "problem"
    assert report.state("dns") == "ok"
    assert report.state("memory") == "skipped"
    assert len(report.findings) == 1
