"""The updates that a change of an instance needs: Memorystore accepts one changed field in each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.targets.previous_resources import Inputs

KEYS = {
    "aclPolicy": "gcp.acl",
    "labels": "gcp.labels",
    "deletionProtectionEnabled": "gcp.deletionProtection",
    "maintenancePolicy": "gcp.maintenanceWindow",
    "automatedBackupConfig": "gcp.backupDays or gcp.backupHour",
    "persistenceConfig": "gcp.persistence",
    "engineConfigs": "workload",
    "nodeType": "gcp.nodeType",
    "replicaCount": "replicas",
    "shardCount": "shards",
    "engineVersion": "version",
    "maintenanceVersion": "gcp.maintenanceVersion",
    "crossInstanceReplicationConfig": "gcp.replicationRole",
}
"""Every input that can be changed in place, with the key that changes it; in the order of several changes: permissions,
protection and persistence first, then size, then the version.
"""

_SIZE = "memory or gcp.nodeType"
_CONFIG_KEYS = {"maxmemory": _SIZE, "maxclients": _SIZE, "maxmemory-policy": "workload"}
"""From which key an engine config follows; the others are in `parameters`."""

_DEFAULTS = "__defaults"
"""What an import adds to each map of a resource's inputs."""


@dataclass(frozen=True)
class UpdatePlan:
    """steps: the fields of each update. inputs: of the next update; fields of later ones keep their previous values."""

    steps: Sequence[Sequence[str]]
    inputs: Inputs


def plan(previous: Inputs | None, desired: Inputs) -> UpdatePlan:
    """previous: None for a first creation. desired: the fields of KEYS."""
    steps = find_steps(previous, desired) if previous is not None else []
    later = [name for step in steps[1:] for name in step]
    kept = {name: (previous or {}).get(name) for name in later}
    return UpdatePlan(steps, {**desired, **kept})


def find_steps(previous: Inputs, desired: Inputs) -> list[list[str]]:
    """The fields that would change in place, grouped into updates, in a safe order."""
    changed = _ordered(changed_fields(previous, desired), previous, desired)
    if "nodeType" in changed and "engineConfigs" in changed:
        # The API accepts these two together, since the limits depend on each other.
        changed.remove("nodeType")
        return [["nodeType", name] if name == "engineConfigs" else [name] for name in changed]
    return [[name] for name in changed]


def changed_fields(previous: Inputs, desired: Inputs) -> list[str]:
    return [name for name in KEYS if differ(previous.get(name), desired.get(name))]


def differ(before: Any, after: Any) -> bool:
    """Apart from what an import adds."""
    return bool(_comparable(before) != _comparable(after))


def describe(name: str, previous: Inputs, desired: Inputs) -> str:
    """A field with its key, and with its values if they are short."""
    before, after = previous.get(name), desired.get(name)
    is_short = not isinstance(before, Mapping) and not isinstance(after, Mapping)
    values = f" from {_text(before)} to {_text(after)}" if is_short else ""
    keys = _keys(name, previous, desired)
    return f"{name}{values} ({keys})"


def provider_name(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def provider_names(value: Any) -> Any:
    """The SDK's names of a request as the provider's: `shard_count` is `shardCount`. The user's maps stay."""
    if isinstance(value, Mapping):
        return {
            provider_name(name): item if name in ("engine_configs", "labels") else provider_names(item)
            for name, item in value.items()
        }
    return [provider_names(item) for item in value] if isinstance(value, list) else value


def _ordered(changed: list[str], previous: Inputs, desired: Inputs) -> list[str]:
    """While it is under way, a change neither overfills the nodes nor weakens the persistence of a queue."""
    order = list(KEYS)
    if _maxmemory(desired) < _maxmemory(previous):
        order = _moved(order, "shardCount", before="engineConfigs")
    if _persistence(previous) == "AOF" != _persistence(desired):
        order = _moved(order, "persistenceConfig", before="replicaCount")
    return [name for name in order if name in changed]


def _moved(order: Sequence[str], name: str, *, before: str) -> list[str]:
    rest = [other for other in order if other != name]
    position = rest.index(before)
    return [*rest[:position], name, *rest[position:]]


def _maxmemory(inputs: Inputs) -> int:
    return int((inputs.get("engineConfigs") or {}).get("maxmemory", 0))


def _persistence(inputs: Inputs) -> object:
    return (inputs.get("persistenceConfig") or {}).get("mode")


def _keys(name: str, previous: Inputs, desired: Inputs) -> str:
    """Engine configs follow from several keys."""
    if name != "engineConfigs":
        return KEYS[name]
    before, after = (_comparable(inputs.get(name)) or {} for inputs in (previous, desired))
    changed = {config for config in {*before, *after} if before.get(config) != after.get(config)}
    return " and ".join(sorted({_CONFIG_KEYS.get(config, "parameters") for config in changed}))


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _comparable(item) for name, item in value.items() if name != _DEFAULTS}
    return [_comparable(item) for item in value] if isinstance(value, list) else value


def _text(value: object) -> str:
    """Pulumi passes whole numbers as floats."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value or "none")
