"""Versions that can take part, and what an old source cannot do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from valkeykit.version_numbers import parse_version
from valkeykit_ops.migrate import access_checks, permissions, preflight
from valkeykit_ops.migrate.run_context import RunContext
from valkeykit_ops.migrate.silent_commands import notifies_enough


def context(source: str, target: str, *, reverse: bool = False) -> RunContext:
    def server(name: str) -> Any:
        engine, _, version = name.partition(" ")
        return SimpleNamespace(engine=engine, release=parse_version(version), name=name)

    made = SimpleNamespace(source=server(source), target=server(target), options=SimpleNamespace(reverse=reverse))
    return cast("RunContext", made)


@pytest.mark.parametrize(
    ("source", "target", "reverse", "ok"),
    [
        ("redis 5.0.6", "valkey 9.1.2", False, True),
        ("redis 6.0.16", "valkey 7.2.0", False, True),
        ("redis 4.0.14", "valkey 9.1.2", False, False),
        ("redis 7.0.15", "redis 7.0.15", False, False),
        ("valkey 9.1.2", "redis 6.2.14", True, True),
        ("valkey 9.1.2", "redis 5.0.6", True, False),
    ],
)
def test_versions(source: str, target: str, reverse: bool, ok: bool) -> None:
    check = preflight._versions(context(source, target, reverse=reverse))
    assert check.ok is ok
    assert ok or check.fix


@pytest.mark.parametrize(
    ("source", "pause", "ok"),
    [("redis 6.0.16", True, False), ("redis 6.0.16", False, True), ("redis 6.2.14", True, True)],
)
def test_a_source_that_cannot_pause_writes(source: str, pause: bool, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "denied_cut_over", lambda *_, **__: {})
    checks = access_checks.cut_over_access(context(source, "valkey 9.1.2"), required=True, pause=pause)
    assert all(check.ok for check in checks) is ok


@pytest.mark.parametrize(
    ("source", "enough"), [("redis 6.0.16", False), ("redis 6.2.14", True), ("valkey 7.2.0", True)]
)
def test_notifications_of_old_servers_are_not_used(source: str, enough: bool) -> None:
    assert notifies_enough(context(source, "valkey 9.1.2").source) is enough
