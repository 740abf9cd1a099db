"""The update of the vulnerability table, with recorded responses of OSV."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from valkeykit_ops.vulnerabilities import Vulnerability, VulnerabilityTable, load_table, parse_table

from stackctl.maintenance import update_vulnerabilities
from stackctl.maintenance.update_vulnerabilities import TABLE, render, update

RECORDED = json.loads((Path(__file__).parent / "osv.json").read_text())
"""Responses by package name; the second page of `valkey` has the token as its key."""

TODAY = date(2026, 12, 1)


def query(request: dict[str, Any]) -> dict[str, Any]:
    assert request["package"]["ecosystem"] == "Bitnami"
    return dict(RECORDED[request.get("page_token") or request["package"]["name"]])


def test_advisories_are_merged_into_the_table() -> None:
    table = VulnerabilityTable(
        "2026-11-25",
        (
            Vulnerability("CVE-2026-99999", ("9.1.9",), ()),
            Vulnerability("CVE-2026-56684", ("9.1.0",), (), needs_tls=True),
            Vulnerability("CVE-2025-49844", ("8.1.4",), ("8.2.2",)),
        ),
    )
    updated = update(table, query, TODAY)
    assert updated == VulnerabilityTable(
        "2026-12-01",
        (
            Vulnerability("CVE-2025-21605", (), ("6.2.18", "7.2.8", "7.4.3")),
            Vulnerability("CVE-2025-49844", ("7.2.11", "8.0.6", "8.1.4"), ("8.2.2",)),
            Vulnerability("CVE-2026-56684", ("7.2.14", "8.0.10", "8.1.9", "9.0.5", "9.1.1"), (), needs_tls=True),
            Vulnerability("CVE-2026-99999", ("9.1.9",), ()),
        ),
    )


def test_a_table_is_read_as_it_was_written() -> None:
    assert parse_table(render(load_table())) == load_table()
    assert TABLE.read_text() == render(load_table()), "run: python -m stackctl.maintenance.update_vulnerabilities"


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    path = tmp_path / "vulnerabilities.json"
    path.write_text(TABLE.read_text())
    monkeypatch.setattr(update_vulnerabilities, "TABLE", path)
    monkeypatch.setattr(update_vulnerabilities, "query_osv", query)
    update_vulnerabilities.main()
    written = parse_table(path.read_text())
    assert {one.cve for one in load_table().vulnerabilities} <= {one.cve for one in written.vulnerabilities}
    assert written.date == date.today().isoformat()  # noqa: DTZ011
    assert written.date in capsys.readouterr().err
