"""What the provider would do to the resources of a configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cloud.aws import service
from harness.cloud.aws.terraform import Body, PlannedChange, Workspace
from harness.cloud.aws.terraform_names import body_of, type_of
from tests.aws.recorded import DeployedAws, member_clusters

Key = tuple[str, str]
"""Of a resource: its type token and its name."""

Resources = dict[Key, Mapping[str, Any]]
"""The inputs of a program's resources."""


def resources_of(deployed: DeployedAws) -> Resources:
    """Those of the provider; passwords are others'."""
    recorded = deployed.recorder.recorded
    return {(made.kind, made.name): made.inputs for made in recorded if made.kind.startswith("aws:")}


@dataclass
class Judge:
    """missing: inputs of the program that this version of the provider lacks."""

    workspace: Workspace
    missing: set[str] = field(default_factory=set)
    _created: dict[str, PlannedChange] = field(default_factory=dict)

    def create(self, resources: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Plan the creation of resources, equal ones once; returns how many different ones there are.

        Raises:
            TerraformError: what the provider rejects.
        """
        bodies = dict(self._body(kind, inputs) for kind, inputs in resources)
        new = {address: body for address, body in bodies.items() if address not in self._created}
        self._created |= self.workspace.plan(new)
        return len(bodies)

    def change(self, pairs: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, PlannedChange]:
        """Plan changes in one go. pairs: by any name, a type token, the inputs before and after."""
        self.create((kind, before) for kind, before, _ in pairs.values())
        state, bodies, names = {}, {}, {}
        for number, (name, (kind, before, after)) in enumerate(pairs.items()):
            address = f"{type_of(kind, self.workspace.types)}.p{number}"
            state[address] = self.state(kind, before)
            bodies[address] = self._body(kind, after)[1]
            names[address] = name
        planned = self.workspace.plan(bodies, state)
        return {names[address]: change for address, change in planned.items()}

    def state(self, kind: str, inputs: Mapping[str, Any]) -> Body:
        """All attributes of a resource whose creation was planned; those of the service are made up."""
        address, _ = self._body(kind, inputs)
        created = self._created[address]
        block = self.workspace.types[address.partition(".")[0]]["block"]
        return _filled(block, created.after, created.unknown, _known_to_service(kind, inputs))

    def _body(self, kind: str, inputs: Mapping[str, Any]) -> tuple[str, Body]:
        """The resource, and an address by which equal ones are equal."""
        body, missing = body_of(kind, inputs, self.workspace.types)
        self.missing |= missing
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        return f"{type_of(kind, self.workspace.types)}.r{digest}", body


def _filled(block: Any, values: Body, unknown: Body, computed: Mapping[str, Any]) -> Body:
    result: Body = {}
    for name, attribute in block.get("attributes", {}).items():
        result[name] = values.get(name)
        if result[name] is None and unknown.get(name):
            result[name] = computed.get(name, _blank(attribute, name))
    for name, nested in block.get("block_types", {}).items():
        items, marks = list(values.get(name) or []), unknown.get(name)
        known = marks if isinstance(marks, list) else [{} for _ in items]
        items = [_filled(nested["block"], item, mark, {}) for item, mark in zip(items, known, strict=True)]
        result[name] = None if nested["nesting_mode"] == "single" else items
    return result


def _blank(attribute: Any, name: str) -> Any:
    """A value on which nothing depends."""
    kind = attribute["type"]
    if kind == "string":
        return "" if attribute.get("optional") and name != "id" else f"computed-{name.replace('_', '-')}"
    if isinstance(kind, str):
        return False if kind == "bool" else 0
    return {} if kind[0] in ("map", "object") else []


def _known_to_service(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider reads in addition to the inputs."""
    if kind != service.GROUP:
        return {"create_time": "2026-12-01T00:00:00Z"}
    shards = inputs.get("numNodeGroups", 1)
    members = member_clusters(dict(inputs))
    return {
        "cluster_enabled": inputs["clusterMode"] == "enabled",
        "engine_version_actual": f"{inputs['engineVersion']}.2",
        "ip_discovery": "ipv4",
        "member_clusters": members,
        "network_type": "ipv4",
        "num_cache_clusters": len(members),
        "num_node_groups": shards,
        "replicas_per_node_group": len(members) // shards - 1,
    }
