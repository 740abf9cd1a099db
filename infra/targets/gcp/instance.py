"""The Memorystore instance: all that is asked of the API, as plain data, and the resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance

from infra.settings import Settings
from infra.settings.gcp.catalogue import VERSIONS
from infra.settings.gcp.network import project_of
from infra.settings.gcp.nodes import Sizing
from infra.settings.gcp.rules import BACKUP, sizing
from infra.targets.context import Context
from infra.targets.gcp import changes, configs, names

TIMEOUTS = pulumi.CustomTimeouts(create="60m", update="120m", delete="30m")
"""The provider's own; a creation takes 10 to 20 minutes, a change of size may take an hour."""

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


def nodes_of(settings: Settings) -> Sizing:
    """The node type and how many shards there are."""
    found = sizing(settings)
    assert found is not None, "the rules refuse more memory than the nodes have"  # noqa: S101
    return found


def backup_days(settings: Settings) -> int:
    return settings.gcp.backupDays or (7 if settings.environment == "prod" else 1)


def is_protected(settings: Settings) -> bool:
    """Whether the API refuses to delete it."""
    chosen = settings.gcp.deletionProtection
    return settings.environment == "prod" if chosen is None else chosen


def arguments(context: Context) -> dict[str, Any]:
    """The whole request, by the SDK's names."""
    settings, gcp = context.settings, context.settings.gcp
    plan = nodes_of(settings)
    return {
        "instance_id": context.name,
        "project": gcp.project,
        "location": gcp.location,
        "mode": "CLUSTER" if settings.topology == "cluster" else "CLUSTER_DISABLED",
        "shard_count": plan.shards,
        "replica_count": settings.replica_count,
        "node_type": plan.node.name,
        "engine_version": VERSIONS[settings.version],
        "engine_configs": configs.engine_configs(settings, plan.node),
        "authorization_mode": "IAM_AUTH" if gcp.auth == "iam" else "AUTH_DISABLED",
        **_encryption(settings),
        "persistence_config": configs.persistence(settings),
        "automated_backup_config": {
            "retention": f"{backup_days(settings) * _DAY_SECONDS}s",
            "fixed_frequency_schedule": {"start_time": {"hours": gcp.backupHour}},
        },
        "maintenance_policy": _maintenance(gcp.maintenanceWindow),
        "zone_distribution_config": {"mode": "SINGLE_ZONE", "zone": gcp.zone} if gcp.zone else {"mode": "MULTI_ZONE"},
        "desired_auto_created_endpoints": [_endpoint(context)],
        "deletion_protection_enabled": is_protected(settings),
        "labels": context.tags,
        **_source(settings.restoreFrom),
        **_replication(settings),
        **({"kms_key": gcp.kmsKey} if gcp.kmsKey else {}),
    }


def make(context: Context, needs: Sequence[pulumi.Resource], acl_policy: str | None) -> Instance:
    """The instance, kept from being replaced.

    needs: what must exist before it. acl_policy: the full name of its ACL policy.
    """
    sources = [] if context.settings.restoreFrom else ["gcsSource", "managedBackupSource"]
    return Instance(
        "instance",
        **arguments(context),
        acl_policy=acl_policy,
        opts=context.options(
            pulumi.ResourceOptions(
                depends_on=list(needs),
                custom_timeouts=TIMEOUTS,
                # A source counts at creation only; without `restoreFrom` nobody says anything about it any more.
                ignore_changes=sources,
            ),
            changes.watched(context.guard),
            holds_data=True,
        ),
    )


def _encryption(settings: Settings) -> dict[str, str]:
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
    """The forwarding rules are the network's project's where nothing else is said: that works with and without a
    Shared VPC.
    """
    network = names.network(context)
    return {"network": network, "project_id": context.settings.gcp.endpointProject or project_of(network)}


def _source(restore_from: str) -> dict[str, Any]:
    """A managed backup by its name, or RDB files in Cloud Storage."""
    if not restore_from:
        return {}
    if BACKUP.fullmatch(restore_from):
        return {"managed_backup_source": {"backup": restore_from}}
    return {"gcs_source": {"uris": restore_from.split(",")}}


def _replication(settings: Settings) -> dict[str, Any]:
    gcp = settings.gcp
    if not gcp.replicationRole:
        return {}
    config: dict[str, Any] = {"instance_role": gcp.replicationRole.upper()}
    if gcp.primaryInstance:
        config["primary_instance"] = {"instance": gcp.primaryInstance}
    if gcp.secondaryInstances:
        config["secondary_instances"] = [{"instance": name} for name in gcp.secondaryInstances]
    return {"cross_instance_replication_config": config}
