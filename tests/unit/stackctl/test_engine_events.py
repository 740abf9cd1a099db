"""Changes and messages of a Pulumi command, from its event log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackctl import engine_events

SERVER = "pulumi-python:dynamic/valkey:Server"


def before(operation: str, kind: str, name: str = "server") -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": {"op": operation, "type": kind, "urn": f"urn::{name}"}}}


def error(message: str, name: str = "") -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": "error", "message": message, **({"urn": f"urn::{name}"} if name else {})}}


def read(*happened: dict[str, Any], end: str = "") -> engine_events.UpdateEvents:
    return engine_events.parse([*(f"{json.dumps(event)}\n" for event in happened), end])


@pytest.mark.parametrize("operation", ["create", "update", "delete", "replace", "create-replacement"])
def test_a_change_has_begun(operation: str) -> None:
    assert read(before("refresh", SERVER), before(operation, SERVER), end='{"cut').has_begun


@pytest.mark.parametrize(
    "event",
    [
        before("refresh", SERVER),
        before("same", SERVER),
        before("read", "aws:ec2/vpc:Vpc"),
        before("create", "pulumi:pulumi:Stack"),
        before("update", "pulumi:providers:pulumi-python"),
        before("create", "valkey:target:Embedded"),
    ],
)
def test_nothing_has_begun(event: dict[str, Any]) -> None:
    assert not read(event).has_begun
    assert not engine_events.parse([]).has_begun


def test_a_refusal_has_changed_nothing() -> None:
    refusal = error("infra.errors.PreflightError: it holds 50mb -> pulumi config set memory <more>\n", "server")
    happened = read(before("update", SERVER), refusal, error("update failed"))
    assert happened == engine_events.UpdateEvents(
        has_begun=False, errors=("it holds 50mb -> pulumi config set memory <more>",)
    )
    assert read(before("update", SERVER), before("update", SERVER, "other"), refusal).has_begun


def test_a_cause_is_reported_without_its_traceback() -> None:
    traceback = "Program failed:\nTraceback (most recent call last):\n  File \"x.py\", line 1\nKeyError: 'x'\n"
    happened = read(error(traceback), error("the settings can't be used:\n- memory is 1kb\n"))
    assert happened.errors == ("KeyError: 'x'", "the settings can't be used:\n- memory is 1kb")
