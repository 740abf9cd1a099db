"""What a quiet Pulumi command prints, from the events that it logs meanwhile."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import pytest

from stackctl.update_report import UpdateReport


def event(kind: str, operation: str, name: str = "server", resource: str = "dynamic:Server") -> dict[str, Any]:
    return {kind: {"metadata": {"op": operation, "type": resource, "urn": f"urn:pulumi::{name}"}}}


def message(severity: str, text: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": text}}


def end(seconds: int, **counts: int) -> dict[str, Any]:
    return {"summaryEvent": {"durationSeconds": seconds, "resourceChanges": counts}}


def test_what_is_being_changed_and_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryFile("w+") as log:
        report = UpdateReport(log)
        assert report.poll() == ""
        before = json.dumps(event("resourcePreEvent", "update"))
        log.write(f"{json.dumps(event('resourcePreEvent', 'same', 'password'))}\n{before[:20]}")
        log.flush()
        assert report.poll() == ""
        log.write(f"{before[20:]}\n")
        for text in ("no TLS\n", "no TLS\n"):
            log.write(f"{json.dumps(message('info', text))}\n")
        log.write(f"{json.dumps(message('error', 'it failed'))}\n")
        log.flush()
        assert report.poll() == "server"
        for happened in (event("resOutputsEvent", "update"), end(4, update=1, same=6)):
            log.write(f"{json.dumps(happened)}\n")
        log.flush()
        assert report.poll() == ""
    assert report.summary() == "Resources: 1 updated (server), 6 unchanged in 4 s"
    assert capsys.readouterr() == ("", "note: no TLS\n")


@pytest.mark.parametrize(
    ("counts", "line"),
    [({"create": 7}, "Resources: 7 created in 2 s"), ({}, "Resources: none in 2 s")],
)
def test_the_summary_of_many_resources_names_none(counts: dict[str, int], line: str) -> None:
    with tempfile.TemporaryFile("w+") as log:
        for number in range(4):
            log.write(f"{json.dumps(event('resourcePreEvent', 'create', f'name-{number}'))}\n")
        log.write(f"{json.dumps(end(2, **counts))}\n")
        log.flush()
        report = UpdateReport(log)
        report.poll()
    assert report.summary() == (line if counts else "Resources: none in 2 s")
