"""`make env`: which variables an application gets."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackctl.errors import StackError
from stackctl.operations.env import write_variables
from stackctl.stack import Stack

URLS = {"VALKEY_URL": "redis://app@localhost:6380", "REDIS_URL": "redis://app@localhost:6380"}


def variables(root: Path, **options: Any) -> dict[str, str]:
    stack = cast("Stack", SimpleNamespace(root=root, name="dev", outputs=lambda: {"env": dict(URLS)}))
    written: dict[str, str] = json.loads(write_variables(stack, "json", root / "env.json", **options).read_text())
    return written


def test_redis_and_valkey_can_run_side_by_side(tmp_path: Path) -> None:
    assert variables(tmp_path) == URLS
    assert variables(tmp_path, only_valkey_url=True) == {"VALKEY_URL": URLS["VALKEY_URL"]}


def test_variables_of_the_client_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CONCURRENCY", " 4 ")
    monkeypatch.setenv("DISABLE_REDIS", "")
    monkeypatch.setenv("USE_VALKEY_QUEUE", "true")
    assert variables(tmp_path) == URLS | {"JOB_CONCURRENCY": "4", "USE_VALKEY_QUEUE": "true"}


def test_a_value_that_none_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CONCURRENCY", "4'; rm")
    with pytest.raises(StackError, match=r"JOB_CONCURRENCY is .*unset JOB_CONCURRENCY"):
        variables(tmp_path)
    assert not (tmp_path / "env.json").exists()
