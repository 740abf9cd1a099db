"""Protection of an instance: one field per update, no replacement, no downgrade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError
from infra.settings import StackSettings
from infra.settings.keys import set_command
from infra.targets.replacement_guard import Inputs, ReplacementGuard, is_older

INSTANCE = "gcp:memorystore/instance:Instance"

ALLOW_REPLACEMENT = set_command("gcp.allowReplacement", "true")

REPLACING_INPUTS = (
    *("instanceId", "location", "project", "mode", "authorizationMode", "transitEncryptionMode", "serverCaMode"),
    *("serverCaPool", "kmsKey", "zoneDistributionConfig", "gcsSource", "managedBackupSource"),
    *("desiredAutoCreatedEndpoints", "desiredPscAutoConnections"),
)
"""Inputs that cannot be changed in place (`ForceNew` in the provider's schema)."""

KEYS = {
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
    "aclPolicy": "gcp.acl",
    "crossInstanceReplicationConfig": "gcp.replicationRole",
}
"""Every input that can be changed in place, with the key that changes it; in the recommended order of several changes:
protection and persistence first, then size, then the version.
"""

COMBINABLE_FIELDS = frozenset({"nodeType", "engineConfigs"})
"""The only fields that the API accepts in one update; their limits depend on each other."""


def create_guard(settings: StackSettings) -> ReplacementGuard | None:
    """Protection of the instance; None if the configuration allows replacement."""
    return None if settings.gcp.allowReplacement else ReplacementGuard([INSTANCE], ALLOW_REPLACEMENT)


def instance_options(guard: ReplacementGuard | None) -> pulumi.ResourceOptions:
    """The options of the instance."""
    # Its name is unique, so an allowed replacement deletes it first.
    protection = (
        guard.protect("the instance", REPLACING_INPUTS, _find_objections)
        if guard
        else pulumi.ResourceOptions(delete_before_replace=True)
    )
    hook = ResourceHook("one field per update", _before_update, ResourceHookOptions(on_dry_run=True))
    return pulumi.ResourceOptions.merge(
        protection, pulumi.ResourceOptions(hooks=ResourceHookBinding(before_update=[hook]))
    )


def changed_fields(previous: Inputs, new: Inputs) -> list[str]:
    """The fields that an update would change in place, in the recommended order."""
    return [name for name in KEYS if previous.get(name) != new.get(name)]


def _before_update(planned: ResourceHookArgs) -> None:
    check_one_field(planned.old_inputs or {}, planned.new_inputs or {})


def check_one_field(previous: Inputs, new: Inputs) -> None:
    """
    Raises:
        ProvisioningError: several fields would change, and the API would reject the update after the first.
    """
    changed = changed_fields(previous, new)
    if len(changed) < 2 or COMBINABLE_FIELDS.issuperset(changed):
        return
    each = ", ".join(_description(name, previous.get(name), new.get(name)) for name in changed)
    steps = "; then ".join(_steps(changed))
    raise ProvisioningError(
        f"Memorystore allows one changed field per update, but {len(changed)} would change: {each}",
        fix=f"set these keys one step at a time, with a `pulumi up` after each: {steps}",
    )


def _description(name: str, before: object, after: object) -> str:
    """A field with its key, and with its values if they are short."""
    is_short = not isinstance(before, Mapping) and not isinstance(after, Mapping)
    values = f" from {_plain(before)} to {_plain(after)}" if is_short else ""
    return f"{name}{values} (valkey:{KEYS[name].replace(' or ', ' or valkey:')})"


def _plain(value: object) -> str:
    """Pulumi passes whole numbers as floats."""
    return f"{value:g}" if isinstance(value, float) else str(value or "none")


def _steps(changed: list[str]) -> Iterator[str]:
    """Fields that can be combined are one step."""
    together = [name for name in changed if name in COMBINABLE_FIELDS]
    for name in changed:
        if name not in COMBINABLE_FIELDS:
            yield name
        elif name == together[0]:
            yield " with ".join(together)


def _find_objections(previous: Inputs, new: Inputs) -> Iterator[str]:
    before, after = _version(previous), _version(new)
    if before and after and is_older(after, before):
        yield f"the API rejects a downgrade from {before} to {after}"


def _version(inputs: Inputs) -> str:
    """VALKEY_9_0 is 9.0."""
    return str(inputs.get("engineVersion") or "").removeprefix("VALKEY_").replace("_", ".")
