"""Which inputs cannot change in place: observed one at a time, recorded for the fake provider."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from harness.cloud.aws import service
from tests.cloud.change_scenarios import WRITE
from tests.provider.judge import Judge, resources_of
from tests.provider.sample import deployments

Example = Mapping[str, Any]


def test_the_record_is_what_the_provider_does(judge: Judge) -> None:
    observed = _observe(judge)
    if os.environ.get(WRITE):
        service.RECORD.write_text(json.dumps(observed, indent=2) + "\n")
    assert json.loads(service.RECORD.read_text()) == observed, f"{WRITE}=1 records it"


def _observe(judge: Judge) -> dict[str, list[str]]:
    tried = {f"{kind} {name} {number}": (kind, name, *pair) for number, (kind, name, pair) in enumerate(_variations())}
    planned = judge.change({key: (kind, before, after) for key, (kind, _, before, after) in tried.items()})
    replacing: dict[str, set[str]] = defaultdict(set)
    for key, (kind, name, _, _) in tried.items():
        if planned[key].operation == "replace":
            replacing[kind].add(name)
    return {kind: sorted(names) for kind, names in sorted(replacing.items())}


def _variations() -> Iterator[tuple[str, str, tuple[Example, Example]]]:
    """A resource with one of its inputs as another configuration has it, or without it."""
    examples: dict[tuple[str, str], dict[str, Example]] = defaultdict(dict)
    lacking: set[tuple[str, str]] = set()
    every = [(kind, inputs) for made in deployments() for (kind, _), inputs in resources_of(made).items()]
    for kind, inputs in every:
        for name, value in inputs.items():
            examples[kind, name].setdefault(json.dumps(value, sort_keys=True), inputs)
    for kind, inputs in every:
        lacking |= {(kind, name) for of, name in examples if of == kind and name not in inputs}
    for (kind, name), values in examples.items():
        if name in service.VERSIONS or name in _TOGETHER:
            continue
        first, *others = values.values()
        changed = others[0][name] if others else _other(name, first[name])
        if changed is not None:
            yield kind, name, (first, {**first, name: changed})
        if (kind, name) in lacking:
            yield kind, name, (first, {other: value for other, value in first.items() if other != name})


def _other(name: str, value: Any) -> Any:
    """Of an input that has one value in every configuration; None if the provider may reject another one."""
    if isinstance(value, list) and value and (item := _other(name, value[0])):
        return [item, *value[1:]]
    is_reference = isinstance(value, str) and (value.endswith("-id") or value.startswith("arn:"))
    return f"{value}x" if is_reference or name in _FREE_TEXT else None


_TOGETHER = {
    *("automaticFailoverEnabled", "multiAzEnabled", "numCacheClusters", "numNodeGroups", "replicasPerNodeGroup"),
    *("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"),
}
"""Inputs that the provider accepts only together; versions, which differ back and forth, have a rule in `service`."""

_FREE_TEXT = {"name", "description", "userName", "dashboardName"}
"""Inputs that accept any text."""
