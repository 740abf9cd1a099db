"""The replication group: one node, a primary with replicas, or a cluster."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi
from pulumi_aws.elasticache.replication_group import ReplicationGroup

from infra.providers.credentials import Password
from infra.settings import StackSettings
from infra.settings.aws.sizing import node_type
from infra.targets.aws import logs, network, parameters
from infra.targets.aws.cache import (
    CacheDependencies,
    ManagedCache,
    backup_days,
    cache_options,
    is_immediate,
    to_node,
)
from infra.targets.context import Context


def arguments(settings: StackSettings) -> dict[str, Any]:
    """The arguments that depend on the settings alone, with the SDK's names."""
    node = node_type(settings)
    return {
        "description": f"Valkey {settings.version}, {settings.workload}, {settings.topology}",
        "engine": "valkey",
        "engine_version": settings.version,
        "node_type": node.name,
        "port": network.ports(settings)[0],
        **_node_counts(settings),
        "automatic_failover_enabled": settings.topology == "cluster" or settings.replica_count > 0,
        "multi_az_enabled": network.spans_zones(settings),
        "at_rest_encryption_enabled": True,
        "transit_encryption_enabled": True,
        "transit_encryption_mode": "required",
        "snapshot_retention_limit": backup_days(settings),
        "snapshot_window": settings.aws.backupWindow,
        "maintenance_window": settings.aws.maintenanceWindow,
        "auto_minor_version_upgrade": True,
        "apply_immediately": is_immediate(settings),
        **({"data_tiering_enabled": True} if node.tiers_data else {}),
        **({"durability": settings.aws.durability} if settings.aws.durability else {}),
        **_restore_source(settings.restoreFrom),
    }


def node_ids(name: str, settings: StackSettings) -> list[str]:
    """The names of the nodes in CloudWatch; the provider returns them only after their creation."""
    members = range(1, 2 + settings.replica_count)
    if settings.topology != "cluster":
        return [f"{name}-{member:03}" for member in members]
    shards = range(1, settings.shard_count + 1)
    return [f"{name}-{shard:04}-{member:03}" for shard in shards for member in members]


def create_replication_group(context: Context, deps: CacheDependencies) -> ManagedCache:
    """The group, protected against replacement; an existing one is imported first."""
    settings = context.settings
    name = settings.aws.existing or context.name
    surroundings: dict[str, Any] = {
        "kms_key_id": deps.key,
        "parameter_group_name": parameters.create_parameter_group(context),
        "subnet_group_name": deps.network.subnet_group,
        "security_group_ids": [deps.network.servers],
        "user_group_ids": [deps.access.group],
        "log_delivery_configurations": logs.create_log_groups(context),
        "notification_topic_arn": deps.topic,
        "final_snapshot_identifier": _final_snapshot(context, name) if settings.finalSnapshot else None,
    }
    group = ReplicationGroup(
        "cache",
        replication_group_id=name,
        tags=context.tags,
        opts=context.options(
            cache_options(context),
            pulumi.ResourceOptions(import_=settings.aws.existing or None),
            holds_data=True,
        ),
        **arguments(settings),
        **surroundings,
    )
    if settings.topology == "cluster":
        hosts = [group.configuration_endpoint_address]
    elif settings.replica_count:
        hosts = [group.primary_endpoint_address, group.reader_endpoint_address]
    else:
        hosts = [group.primary_endpoint_address]
    return ManagedCache(
        name=name,
        arn=group.arn,
        nodes=pulumi.Output.all(group.port, *hosts).apply(
            lambda parts: [to_node(host, parts[0]) for host in parts[1:]]
        ),
        version=group.engine_version_actual,
        maxmemory=node_type(settings).maxmemory,
    )


def _node_counts(settings: StackSettings) -> dict[str, Any]:
    """AWS accepts the number of nodes, or of shards and replicas, but not both."""
    if settings.topology != "cluster":
        return {"num_cache_clusters": 1 + settings.replica_count}
    return {
        "cluster_mode": "enabled",
        "num_node_groups": settings.shard_count,
        "replicas_per_node_group": settings.replica_count,
    }


def _restore_source(restore_from: str) -> dict[str, Any]:
    """The name of a snapshot, or the ARN of an RDB file in S3."""
    if not restore_from:
        return {}
    return {"snapshot_arns": [restore_from]} if restore_from.startswith("arn:") else {"snapshot_name": restore_from}


def _final_snapshot(context: Context, name: str) -> pulumi.Output[str]:
    """A name that no earlier group used: AWS does not delete a group if a snapshot of that name exists."""
    settings = context.settings
    aws = settings.aws
    replacing = [settings.port, settings.restoreFrom, aws.kmsKey, aws.vpcId, *aws.subnetIds, aws.subnetGroup]
    incarnation = hashlib.sha256(json.dumps(replacing, sort_keys=True).encode()).hexdigest()[:6]
    unique = Password(f"final-snapshot-{incarnation}", "", "", context.child_options).value
    return pulumi.Output.unsecret(unique).apply(lambda text: f"{name}-final-{text[:8].lower()}")
