"""A replication group: one node, a primary with replicas, or a cluster of shards."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi
from pulumi_aws.elasticache.replication_group import ReplicationGroup

from infra.providers.credentials import Password
from infra.settings import Settings
from infra.settings.aws.nodes import NODE_TYPES, NodeType, smallest
from infra.targets.aws import logs, network, parameters
from infra.targets.aws.cache import Cache, Surroundings, backup_days, is_immediate, kept, node
from infra.targets.aws.context import Context


def node_type(settings: Settings) -> NodeType:
    """The one asked for, else the smallest that holds `memory` with head room."""
    fitting = NODE_TYPES.get(settings.aws.nodeType) or smallest(settings.maxmemory)
    assert fitting is not None, "the rules refuse more memory than the largest node has"  # noqa: S101
    return fitting


def arguments(settings: Settings) -> dict[str, Any]:
    """What follows from the settings alone, by the SDK's names."""
    kind = node_type(settings)
    return {
        "description": f"Valkey {settings.version}, {settings.workload}, {settings.topology}",
        "engine": "valkey",
        "engine_version": settings.version,
        "node_type": kind.name,
        "port": network.ports(settings)[0],
        **_shape(settings),
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
        **({"data_tiering_enabled": True} if kind.tiers_data else {}),
        **({"durability": settings.aws.durability} if settings.aws.durability else {}),
        **_source(settings.restoreFrom),
    }


def node_ids(name: str, settings: Settings) -> list[str]:
    """The nodes as CloudWatch names them; the provider knows them only after they are made."""
    members = range(1, 2 + settings.replica_count)
    if settings.topology != "cluster":
        return [f"{name}-{member:03}" for member in members]
    shards = range(1, settings.shard_count + 1)
    return [f"{name}-{shard:04}-{member:03}" for shard in shards for member in members]


def make(context: Context, around: Surroundings) -> Cache:
    """The group, kept from being replaced; an existing one is imported first."""
    settings = context.settings
    name = settings.aws.existing or context.name
    placed: dict[str, Any] = {
        "kms_key_id": around.key,
        "parameter_group_name": parameters.make(context),
        "subnet_group_name": around.network.subnet_group,
        "security_group_ids": [around.network.servers],
        "user_group_ids": [around.access.group],
        "log_delivery_configurations": logs.make(context),
        "notification_topic_arn": around.topic,
        "final_snapshot_identifier": _final_snapshot(context, name) if settings.finalSnapshot else None,
    }
    group = ReplicationGroup(
        "cache",
        replication_group_id=name,
        tags=context.tags,
        opts=context.options(
            kept(context),
            pulumi.ResourceOptions(import_=settings.aws.existing or None),
            holds_data=True,
        ),
        **arguments(settings),
        **placed,
    )
    if settings.topology == "cluster":
        hosts = [group.configuration_endpoint_address]
    elif settings.replica_count:
        hosts = [group.primary_endpoint_address, group.reader_endpoint_address]
    else:
        hosts = [group.primary_endpoint_address]
    return Cache(
        name=name,
        arn=group.arn,
        nodes=pulumi.Output.all(group.port, *hosts).apply(lambda known: [node(host, known[0]) for host in known[1:]]),
        version=group.engine_version_actual,
        maxmemory=node_type(settings).maxmemory,
    )


def _shape(settings: Settings) -> dict[str, Any]:
    """A group says either how many nodes it has, or how many shards and replicas; both is refused."""
    if settings.topology != "cluster":
        return {"num_cache_clusters": 1 + settings.replica_count}
    return {
        "cluster_mode": "enabled",
        "num_node_groups": settings.shard_count,
        "replicas_per_node_group": settings.replica_count,
    }


def _source(restore_from: str) -> dict[str, Any]:
    """A snapshot by its name, or an RDB file in S3 by its ARN."""
    if not restore_from:
        return {}
    return {"snapshot_arns": [restore_from]} if restore_from.startswith("arn:") else {"snapshot_name": restore_from}


def _final_snapshot(context: Context, name: str) -> pulumi.Output[str]:
    """A name that no earlier life of the group has used: AWS refuses to delete a group whose snapshot exists."""
    settings = context.settings
    aws = settings.aws
    lasting = [settings.port, settings.restoreFrom, aws.kmsKey, aws.vpcId, *aws.subnetIds, aws.subnetGroup]
    life = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:6]
    unique = Password(f"final-snapshot-{life}", "", "", context.child).value
    return pulumi.Output.unsecret(unique).apply(lambda text: f"{name}-final-{text[:8].lower()}")
