"""The Memorystore instance: its request as plain data, and the resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance

from infra.settings import StackSettings
from infra.settings.gcp.catalogue import VERSIONS
from infra.settings.gcp.resource_names import BACKUP_NAME, project_of
from infra.settings.gcp.sizing import node_type
from infra.targets.context import Context
from infra.targets.gcp import changes, engine_configs, names

TIMEOUTS = pulumi.CustomTimeouts(create="60m", update="120m", delete="30m")
"""The provider's defaults; a creation takes 10 to 20 minutes, a resize up to an hour."""

_DAY_SECONDS = 86_400
_DAYS = {
    "mon": "MONDAY",
    "tue": "TUESDAY",
    "wed": "WEDNESDAY",
    "thu": "THURSDAY",
    "fri": "FRIDAY",
    "sat": "SATURDAY",
    "sun": "SUNDAY",
}
_AUTHORITIES = {
    "instance": "GOOGLE_MANAGED_PER_INSTANCE_CA",
    "shared": "GOOGLE_MANAGED_SHARED_CA",
    "customer": "CUSTOMER_MANAGED_CAS_CA",
}


def backup_days(settings: StackSettings) -> int:
    return settings.gcp.backupDays or (7 if settings.environment == "prod" else 1)


def is_protected(settings: StackSettings) -> bool:
    """Whether the API rejects the deletion of the instance."""
    configured = settings.gcp.deletionProtection
    return settings.environment == "prod" if configured is None else configured


def arguments(context: Context) -> dict[str, Any]:
    """The complete request, with the SDK's names."""
    settings, gcp = context.settings, context.settings.gcp
    node = node_type(settings)
    return {
        "instance_id": context.name,
        "project": gcp.project,
        "location": gcp.location,
        "mode": "CLUSTER" if settings.topology == "cluster" else "CLUSTER_DISABLED",
        "shard_count": settings.shard_count,
        "replica_count": settings.replica_count,
        "node_type": node.name,
        "engine_version": VERSIONS[settings.version],
        "engine_configs": engine_configs.engine_configs(settings, node),
        "authorization_mode": "IAM_AUTH" if gcp.auth == "iam" else "AUTH_DISABLED",
        **_encryption(settings),
        "persistence_config": engine_configs.persistence(settings),
        "automated_backup_config": {
            "retention": f"{backup_days(settings) * _DAY_SECONDS}s",
            "fixed_frequency_schedule": {"start_time": {"hours": gcp.backupHour}},
        },
        "maintenance_policy": _maintenance(gcp.maintenanceWindow),
        "zone_distribution_config": {"mode": "SINGLE_ZONE", "zone": gcp.zone} if gcp.zone else {"mode": "MULTI_ZONE"},
        "desired_auto_created_endpoints": [_endpoint(context)],
        "deletion_protection_enabled": is_protected(settings),
        "labels": context.tags,
        **_restore_source(settings.restoreFrom),
        **_replication(settings),
        **({"kms_key": gcp.kmsKey} if gcp.kmsKey else {}),
    }


def create_instance(
    context: Context, depends_on: Sequence[pulumi.Input[pulumi.Resource]], acl_policy: str | None
) -> Instance:
    """The instance, protected against replacement.

    depends_on: the resources that it needs. acl_policy: the full name of its ACL policy.
    """
    sources = [] if context.settings.restoreFrom else ["gcsSource", "managedBackupSource"]
    return Instance(
        "instance",
        **arguments(context),
        acl_policy=acl_policy,
        opts=context.options(
            pulumi.ResourceOptions(
                depends_on=list(depends_on),
                custom_timeouts=TIMEOUTS,
                # The API uses a source at creation only, so removing `restoreFrom` later is not a change.
                ignore_changes=sources,
            ),
            changes.instance_options(context.guard),
            holds_data=True,
        ),
    )


def _encryption(settings: StackSettings) -> dict[str, str]:
    gcp = settings.gcp
    if not gcp.tls:
        return {"transit_encryption_mode": "TRANSIT_ENCRYPTION_DISABLED"}
    return {
        "transit_encryption_mode": "SERVER_AUTHENTICATION",
        "server_ca_mode": _AUTHORITIES[gcp.serverCa],
        **({"server_ca_pool": gcp.caPool} if gcp.caPool else {}),
    }


def _maintenance(window: str) -> dict[str, Any]:
    day, hour, _ = window.split(":")
    return {"weekly_maintenance_windows": [{"day": _DAYS[day], "start_time": {"hours": int(hour)}}]}


def _endpoint(context: Context) -> dict[str, str]:
    """By default the forwarding rules are in the network's project, which works with and without a Shared VPC."""
    network = names.network(context)
    return {"network": network, "project_id": context.settings.gcp.endpointProject or project_of(network)}


def _restore_source(restore_from: str) -> dict[str, Any]:
    """The name of a managed backup, or RDB files in Cloud Storage."""
    if not restore_from:
        return {}
    if BACKUP_NAME.fullmatch(restore_from):
        return {"managed_backup_source": {"backup": restore_from}}
    return {"gcs_source": {"uris": restore_from.split(",")}}


def _replication(settings: StackSettings) -> dict[str, Any]:
    gcp = settings.gcp
    if not gcp.replicationRole:
        return {}
    config: dict[str, Any] = {"instance_role": gcp.replicationRole.upper()}
    if gcp.primaryInstance:
        config["primary_instance"] = {"instance": gcp.primaryInstance}
    if gcp.secondaryInstances:
        config["secondary_instances"] = [{"instance": name} for name in gcp.secondaryInstances]
    return {"cross_instance_replication_config": config}
