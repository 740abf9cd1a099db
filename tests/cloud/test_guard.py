"""The guard by itself; with the engine it is tried by each cloud's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi import ResourceHook, ResourceHookArgs

from infra.errors import ProvisioningError
from infra.targets.guard import Guard, Inputs, is_older


def objections(former: Inputs, new: Inputs) -> Iterator[str]:
    if is_older(new["version"], former["version"]):
        yield "an older version"


@pytest.fixture
def options() -> pulumi.ResourceOptions:
    return Guard("the group", "pulumi config set allow true", ["port"], objections).options()


def planned(**inputs: Any) -> ResourceHookArgs:
    return ResourceHookArgs("urn", "", "group", "type", **inputs)


def hook(options: pulumi.ResourceOptions, moment: str) -> Any:
    assert options.hooks is not None
    (found,) = getattr(options.hooks, moment)
    assert isinstance(found, ResourceHook)
    assert found.opts is not None
    assert found.opts.on_dry_run
    return found.callback


def remember(options: pulumi.ResourceOptions, inputs: dict[str, Any]) -> None:
    assert options.state_migrations is not None
    (migration,) = options.state_migrations
    assert migration(pulumi.StateMigrationArgs("urn", [{"inputs": inputs}])) is None


def test_a_first_creation_passes(options: pulumi.ResourceOptions) -> None:
    hook(options, "before_create")(planned(new_inputs={"port": 1, "version": "9.0"}))


def test_a_replacement_is_refused_with_its_cause_and_its_mend(options: pulumi.ResourceOptions) -> None:
    remember(options, {"port": 1, "name": "a", "version": "9.0"})
    with pytest.raises(ProvisioningError) as caught:
        hook(options, "before_create")(planned(new_inputs={"port": 2, "name": "b", "version": "9.0"}))
    assert "replaced and its data lost, because of port -> " in str(caught.value)
    assert "pulumi config set allow true" in str(caught.value)


def test_a_forced_replacement_without_a_change_is_refused_too(options: pulumi.ResourceOptions) -> None:
    remember(options, {"port": 1, "version": "9.0"})
    with pytest.raises(ProvisioningError, match="because of a forced replacement"):
        hook(options, "before_create")(planned(new_inputs={"port": 1, "version": "9.0"}))


def test_an_update_is_refused_for_its_objections_only(options: pulumi.ResourceOptions) -> None:
    update = hook(options, "before_update")
    update(planned(old_inputs={"version": "9.0"}, new_inputs={"version": "9.1"}))
    with pytest.raises(ProvisioningError, match="an older version"):
        update(planned(old_inputs={"version": "9.0"}, new_inputs={"version": "8.1"}))


def test_nothing_is_deleted_before_the_guard_is_asked(options: pulumi.ResourceOptions) -> None:
    assert options.delete_before_replace is False


@pytest.mark.parametrize(
    ("version", "than", "older"), [("8.1", "9.0", True), ("9.10", "9.9", False), ("9.0", "9.0", False)]
)
def test_versions_are_compared_as_numbers(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older
