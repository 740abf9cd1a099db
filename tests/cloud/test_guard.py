"""The guard by itself; with the engine it is tried by each cloud's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest
from pulumi import ResourceHookArgs

from infra.errors import ProvisioningError
from infra.targets.previous_resources import Inputs, PreviousResources
from infra.targets.replacement_guard import ReplacementGuard, is_older


def find_problems(former: Inputs, new: Inputs) -> Iterator[str]:
    if is_older(new["version"], former["version"]):
        yield "an older version"


@dataclass(frozen=True)
class Hook:
    """Pulumi's own registers itself with an engine at once."""

    name: str
    callback: Callable[[ResourceHookArgs], None]
    opts: pulumi.ResourceHookOptions


@pytest.fixture
def previous() -> PreviousResources:
    return PreviousResources()


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch, previous: PreviousResources) -> ReplacementGuard:
    monkeypatch.setattr("infra.targets.replacement_guard.ResourceHook", Hook)
    return ReplacementGuard(["type", "other type"], "pulumi config set allow true", previous)


def planned(**inputs: Any) -> ResourceHookArgs:
    return ResourceHookArgs("urn", "", "group", "type", **inputs)


def hook(guard: ReplacementGuard, moment: str) -> Any:
    hooks = guard.protect("the group", ["port"], find_problems).hooks
    assert hooks is not None
    found = getattr(hooks, moment)[0]
    assert found.opts.on_dry_run
    return found.callback


def remember(previous: PreviousResources, kind: str, inputs: dict[str, Any]) -> None:
    """As the engine does before it plans: the component, then what is below it."""
    migration = next(iter(previous.watch().state_migrations or []))
    subtree: list[dict[str, Any]] = [
        {"urn": "parent", "type": "component"},
        {"urn": "urn" if kind == "type" else "other", "type": kind, "inputs": inputs},
    ]
    assert migration(pulumi.StateMigrationArgs("urn", subtree)) is None


def test_a_first_creation_passes(guard: ReplacementGuard) -> None:
    hook(guard, "before_create")(planned(new_inputs={"port": 1, "version": "9.0"}))


def test_a_replacement_is_rejected_with_its_cause_and_its_fix(
    guard: ReplacementGuard, previous: PreviousResources
) -> None:
    remember(previous, "type", {"port": 1, "name": "a", "version": "9.0"})
    with pytest.raises(ProvisioningError) as caught:
        hook(guard, "before_create")(planned(new_inputs={"port": 2, "name": "b", "version": "9.0"}))
    assert "replaced and its data lost, because of port -> " in str(caught.value)
    assert "pulumi config set allow true" in str(caught.value)


def test_a_forced_replacement_without_a_change_is_refused_too(
    guard: ReplacementGuard, previous: PreviousResources
) -> None:
    remember(previous, "type", {"port": 1, "version": "9.0"})
    with pytest.raises(ProvisioningError, match="because of a forced replacement"):
        hook(guard, "before_create")(planned(new_inputs={"port": 1, "version": "9.0"}))


def test_a_resource_of_another_type_is_not_dropped_for_a_new_one(
    guard: ReplacementGuard, previous: PreviousResources
) -> None:
    remember(previous, "other type", {"version": "9.0"})
    with pytest.raises(ProvisioningError, match="would be deleted"):
        hook(guard, "before_create")(planned(new_inputs={"port": 1, "version": "9.0"}))


def test_an_update_is_rejected_for_its_problems_only(guard: ReplacementGuard) -> None:
    update = hook(guard, "before_update")
    update(planned(old_inputs={"version": "9.0"}, new_inputs={"version": "9.1"}))
    with pytest.raises(ProvisioningError, match="an older version"):
        update(planned(old_inputs={"version": "9.0"}, new_inputs={"version": "8.1"}))


def test_nothing_is_deleted_before_the_guard_allows_it(guard: ReplacementGuard) -> None:
    assert guard.protect("the group", []).delete_before_replace is False


@pytest.mark.parametrize(
    ("version", "than", "older"), [("8.1", "9.0", True), ("9.10", "9.9", False), ("9.0", "9.0", False)]
)
def test_versions_are_compared_as_numbers(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older
