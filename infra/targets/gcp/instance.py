"""The Memorystore instance: its request as plain data, and the resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance

from infra.settings import StackSettings
from infra.settings.gcp.catalogue import VERSIONS
from infra.settings.gcp.persistence import backup_days
from infra.settings.gcp.resource_names import BACKUP_NAME
from infra.settings.gcp.sizing import node_type
from infra.targets.context import Context
from infra.targets.gcp import engine_configs, instance_protection, names
from infra.targets.gcp.updates import KEYS, UpdatePlan, provider_name
from infra.targets.previous_resources import PreviousResources

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


def is_protected(settings: StackSettings) -> bool:
    """Whether the API rejects the deletion of the instance."""
    configured = settings.gcp.deletionProtection
    return settings.environment == "prod" if configured is None else configured


def arguments(context: Context, acl_policy: str | None) -> dict[str, Any]:
    """The complete request, with the SDK's names. acl_policy: the full name of the instance's ACL policy."""
    settings, gcp = context.settings, context.settings.gcp
    node = node_type(settings)
    return {
        "instance_id": names.instance_id(context),
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
        "automated_backup_config": _backups(settings),
        "maintenance_version": gcp.maintenanceVersion or None,
        "maintenance_policy": _maintenance(gcp.maintenanceWindow),
        "zone_distribution_config": {"mode": "SINGLE_ZONE", "zone": gcp.zone} if gcp.zone else {"mode": "MULTI_ZONE"},
        "desired_auto_created_endpoints": [_endpoint(context)],
        "deletion_protection_enabled": is_protected(settings),
        "labels": context.tags,
        **_restore_source(settings.restoreFrom),
        **_replication(settings),
        **({"kms_key": gcp.kmsKey} if gcp.kmsKey else {}),
        "acl_policy": acl_policy,
    }


def create_instance(
    context: Context,
    request: Mapping[str, Any],
    plan: pulumi.Output[UpdatePlan],
    previous: PreviousResources,
    depends_on: Sequence[pulumi.Input[pulumi.Resource]],
) -> Instance:
    """The instance, protected against replacement.

    request: the complete one. plan: which of its fields this update sends. depends_on: the resources that it needs.
    """
    existing = context.settings.gcp.existing
    return Instance(
        context.resource("instance"),
        **{name: _planned(plan, name) if provider_name(name) in KEYS else value for name, value in request.items()},
        opts=context.options(
            pulumi.ResourceOptions(
                depends_on=list(depends_on),
                custom_timeouts=TIMEOUTS,
                # The API uses a source at creation only, so removing `restoreFrom` later is not a change.
                ignore_changes=[] if context.settings.restoreFrom else list(instance_protection.SOURCES),
                import_=names.instance(context) if existing else None,
            ),
            instance_protection.instance_options(context.guard, previous, context.identity),
            holds_data=True,
        ),
    )


def _planned(plan: pulumi.Output[UpdatePlan], name: str) -> pulumi.Output[Any]:
    return plan.apply(lambda known: known.inputs.get(provider_name(name)))


def _encryption(settings: StackSettings) -> dict[str, str]:
    gcp = settings.gcp
    if not gcp.tls:
        return {"transit_encryption_mode": "TRANSIT_ENCRYPTION_DISABLED"}
    return {
        "transit_encryption_mode": "SERVER_AUTHENTICATION",
        "server_ca_mode": _AUTHORITIES[gcp.serverCa],
        **({"server_ca_pool": gcp.caPool} if gcp.caPool else {}),
    }


def _backups(settings: StackSettings) -> dict[str, Any] | None:
    """Without a configuration the provider turns backups off."""
    days = backup_days(settings)
    if not days:
        return None
    start = {"hours": settings.gcp.backupHour}
    return {"retention": f"{days * _DAY_SECONDS}s", "fixed_frequency_schedule": {"start_time": start}}


def _maintenance(window: str) -> dict[str, Any]:
    day, hour, _ = window.split(":")
    return {"weekly_maintenance_windows": [{"day": _DAYS[day], "start_time": {"hours": int(hour)}}]}


def _endpoint(context: Context) -> dict[str, str]:
    """The API accepts no other project than the instance's, in a Shared VPC too."""
    return {"network": names.network(context), "project_id": context.settings.gcp.project}


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
        return {"cross_instance_replication_config": None}
    config: dict[str, Any] = {"instance_role": gcp.replicationRole.upper()}
    if gcp.primaryInstance:
        config["primary_instance"] = {"instance": gcp.primaryInstance}
    if gcp.secondaryInstances:
        config["secondary_instances"] = [{"instance": name} for name in gcp.secondaryInstances]
    return {"cross_instance_replication_config": config}
