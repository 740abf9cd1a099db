"""`make up` on a cloud: a preview first, then one update after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl import config_change, data_loss
from stackctl.errors import StackError, UpdateError
from stackctl.operations import up
from stackctl.stack import Stack


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of Pulumi, none of which is made."""
    made: list[str] = []

    def update(_self: Stack) -> bool:
        made.append("up")
        return True

    monkeypatch.setattr(up, "show_state", lambda _stack: None)
    monkeypatch.setattr(up, "run_tests", lambda _name: 1)
    monkeypatch.setattr(data_loss, "recoveries", lambda _stack: [])
    monkeypatch.setattr(Stack, "has_resources", lambda _self: True)
    monkeypatch.setattr(Stack, "check", lambda _self, *_options: made.append("preview"))
    monkeypatch.setattr(Stack, "up", update)
    monkeypatch.setattr(Stack, "pending_updates", lambda _self: [])
    return made


def stack(folder: Path, target: str) -> Stack:
    (folder / "Pulumi.yaml").write_text("name: valkey\n")
    (folder / "Pulumi.web.yaml").write_text(f"config:\n  valkey:target: {target}\n")
    return Stack("web", {}, folder, True)


@pytest.mark.parametrize(
    ("target", "expected"), [("gcp", ["preview", "up"]), ("aws", ["preview", "up"]), ("docker", ["up"])]
)
def test_a_cloud_s_change_is_previewed_first(
    calls: list[str], tmp_path: Path, target: str, expected: list[str]
) -> None:
    up.deploy(stack(tmp_path, target), dry=False)
    assert calls == expected


def test_a_rejected_preview_changes_nothing(calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(_self: Stack, *_options: str) -> None:
        raise StackError("the instance would be replaced")

    monkeypatch.setattr(Stack, "check", reject)
    with pytest.raises(StackError, match="would be replaced"):
        up.deploy(stack(tmp_path, "gcp"), dry=False)
    assert calls == []


def test_updates_are_made_until_none_is_left(calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([["b", "c"], ["c"], ["c"], [], []])
    monkeypatch.setattr(Stack, "pending_updates", lambda _self: next(left))
    assert config_change.update(stack(tmp_path, "gcp"))
    assert calls == ["up", "up", "up"]


def test_an_update_without_effect_is_not_repeated_for_ever(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stack, "pending_updates", lambda _self: ["b"])
    with pytest.raises(UpdateError, match="the update of b had no effect"):
        config_change.update(stack(tmp_path, "gcp"))
    assert calls == ["up", "up"]
