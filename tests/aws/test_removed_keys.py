"""Removing a key has the effect that its absence has in a new stack: the provider sends it, or it is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.cloud.aws import service
from harness.cloud.aws.configurations import MINIMAL
from infra.targets.aws.update_obstacles import find_obstacles
from tests.aws.recorded import DeployedAws
from tests.aws.test_changes import RUNNER


def lacking(inputs: Any, of: Any, path: str = "") -> Iterator[str]:
    """The inputs, also of blocks, that another configuration has."""
    if isinstance(of, Mapping) and isinstance(inputs, Mapping):
        for name in of.keys() - {"tags"}:  # which the provider removes one by one
            here = f"{path}.{name}" if path else name
            if name in inputs:
                yield from lacking(inputs[name], of[name], here)
            else:
                yield here


def removals() -> Iterator[tuple[str, str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """The key, the type, and each input that its removal takes away, with all inputs before and after."""
    for key, without, with_key in RUNNER.changes():
        before, after = (DeployedAws.of(MINIMAL | one).recorder.recorded for one in (with_key, without))
        kept = {(resource.kind, resource.name): resource.inputs for resource in after}
        for resource in before:
            new = kept.get((resource.kind, resource.name))
            for path in lacking(new, resource.inputs) if new is not None else ():
                yield key, resource.kind, path, resource.inputs, new or {}


def test_no_removed_key_keeps_its_effect() -> None:
    found = set()
    for key, kind, path, previous, new in removals():
        name = path.partition(".")[0]
        changed = {one for one in {*previous, *new} if previous.get(one) != new.get(one)}
        replaced = service.replaces(kind, previous, new, changed)
        in_place = name in service.REMOVED_IN_PLACE.get(kind, ())
        if not (replaced or in_place or any(find_obstacles(previous, new))):
            found.add(f"{key}: {kind} keeps {path}")
    assert found == set()


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_the_engine_replaces_what_the_provider_would_change_in_vain(allowed: str) -> None:
    recorder = DeployedAws.of({"aws.allowReplacement": allowed}).recorder
    for kind, names in service.REPLACED_BY_ENGINE.items():
        request = recorder.requests[kind, recorder.one(kind).name]
        assert set(request.replaceOnChanges) == names
        assert request.deleteBeforeReplace == (allowed == "true" or kind != service.GROUP)
