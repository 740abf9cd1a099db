"""Updates of an instance: one field at a time, and none that replaces it or takes it back to an older version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError
from infra.settings import Settings
from infra.settings.keys import put
from infra.targets.guard import Guard, Inputs, is_older

INSTANCE = "gcp:memorystore/instance:Instance"

ALLOW = put("gcp.allowReplacement", "true")

REPLACES = (
    *("instanceId", "location", "project", "mode", "authorizationMode", "transitEncryptionMode", "serverCaMode"),
    *("serverCaPool", "kmsKey", "zoneDistributionConfig", "gcsSource", "managedBackupSource"),
    *("desiredAutoCreatedEndpoints", "desiredPscAutoConnections"),
)
"""Inputs that can't be changed in place (`ForceNew` in the provider's schema)."""

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
"""Every input that can be changed in place, with the key that changes it alone; in the order in which several changes
are best made: protection and persistence first, then room, then the version.
"""

TOGETHER = frozenset({"nodeType", "engineConfigs"})
"""The only fields that the API takes in one update: their limits belong to each other."""


def guard(settings: Settings) -> Guard | None:
    """What keeps the data; None where replacements are allowed."""
    return None if settings.gcp.allowReplacement else Guard([INSTANCE], ALLOW)


def watched(keeper: Guard | None) -> pulumi.ResourceOptions:
    """What the instance is registered with."""
    # Its name is taken until it is gone, so a replacement that is allowed deletes first.
    kept = (
        keeper.keep("the instance", REPLACES, _objections)
        if keeper
        else pulumi.ResourceOptions(delete_before_replace=True)
    )
    hook = ResourceHook("one field an update", _before_update, ResourceHookOptions(on_dry_run=True))
    return pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(hooks=ResourceHookBinding(before_update=[hook])))


def fields(former: Inputs, new: Inputs) -> list[str]:
    """The fields that an update would change in place, in the order in which they are best changed."""
    return [name for name in KEYS if former.get(name) != new.get(name)]


def _before_update(planned: ResourceHookArgs) -> None:
    one_field(planned.old_inputs or {}, planned.new_inputs or {})


def one_field(former: Inputs, new: Inputs) -> None:
    """
    Raises:
        ProvisioningError: several fields would change. The API would refuse the update half-way through.
    """
    changed = fields(former, new)
    if len(changed) < 2 or TOGETHER.issuperset(changed):
        return
    each = ", ".join(_told(name, former.get(name), new.get(name)) for name in changed)
    steps = "; then ".join(_steps(changed))
    raise ProvisioningError(
        f"Memorystore changes one field an update, and {len(changed)} would change: {each}",
        fix=f"set these keys so that a `pulumi up` each changes {steps}",
    )


def _told(name: str, before: object, after: object) -> str:
    """A field with the key that changes it, and with its values where they are short."""
    is_short = not isinstance(before, Mapping) and not isinstance(after, Mapping)
    values = f" from {_plain(before)} to {_plain(after)}" if is_short else ""
    return f"{name}{values} (valkey:{KEYS[name].replace(' or ', ' or valkey:')})"


def _plain(value: object) -> str:
    """Pulumi's whole numbers are floats."""
    return f"{value:g}" if isinstance(value, float) else str(value or "none")


def _steps(changed: list[str]) -> Iterator[str]:
    """Fields that go together are one step."""
    together = [name for name in changed if name in TOGETHER]
    for name in changed:
        if name not in TOGETHER:
            yield name
        elif name == together[0]:
            yield " with ".join(together)


def _objections(former: Inputs, new: Inputs) -> Iterator[str]:
    before, after = _version(former), _version(new)
    if before and after and is_older(after, before):
        yield f"the version would go back from {before} to {after}, which the API refuses"


def _version(inputs: Inputs) -> str:
    """VALKEY_9_0 is 9.0."""
    return str(inputs.get("engineVersion") or "").removeprefix("VALKEY_").replace("_", ".")
