"""The replication group: one node, a primary with replicas, or a cluster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws.elasticache.replication_group import ReplicationGroup

from infra.providers.credentials import Password
from infra.settings import StackSettings
from infra.settings.aws.cluster_mode import cluster_mode
from infra.settings.aws.sizing import node_type
from infra.targets.aws import logs, network, parameters
from infra.targets.aws.elasticache import (
    CacheDependencies,
    ManagedCache,
    backup_days,
    cache_options,
    is_immediate,
    to_node,
)
from infra.targets.aws.existing_group import ExistingGroup
from infra.targets.context import Context

_TIMEOUTS = pulumi.ResourceOptions(
    custom_timeouts=pulumi.CustomTimeouts(create="3h", update="24h", delete="3h"),
)
"""Resharding and new node types of large clusters take hours; the provider gives up after 40 minutes."""


def arguments(settings: StackSettings) -> dict[str, Any]:
    """The arguments that depend on the settings alone, with the SDK's names."""
    node = node_type(settings)
    return {
        "description": _description(settings),
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
        "auto_minor_version_upgrade": settings.aws.autoMinorUpgrade,
        "apply_immediately": is_immediate(settings),
        "data_tiering_enabled": node.tiers_data,  # also false: the provider keeps a value that is left out
        **({"durability": settings.aws.durability} if settings.aws.durability else {}),
        **_restore_source(settings.restoreFrom),
    }


def create_replication_group(context: Context, deps: CacheDependencies) -> ManagedCache:
    """The group, protected against replacement; an existing one is imported first."""
    settings = context.settings
    name = settings.aws.existing or context.name
    dependencies: dict[str, Any] = {
        "kms_key_id": deps.key,
        "parameter_group_name": parameters.create_parameter_groups(context),
        "subnet_group_name": deps.network.subnet_group,
        "security_group_ids": deps.network.security_groups,
        "user_group_ids": [deps.access.group],
        "log_delivery_configurations": logs.create_log_deliveries(context),
        "notification_topic_arn": deps.topic,
        "final_snapshot_identifier": _final_snapshot(context, name) if settings.finalSnapshot else None,
    }
    group = ReplicationGroup(
        context.resource("cache"),
        replication_group_id=name,
        tags=context.tags,
        opts=context.options(
            cache_options(context),
            _TIMEOUTS,
            _import_options(settings, deps.existing),
            holds_data=True,
        ),
        **{**arguments(settings), **dependencies, **_import_arguments(deps.existing)},
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
        members=group.member_clusters.apply(sorted),
        configuration_endpoint=group.configuration_endpoint_address if cluster_mode(settings) == "compatible" else None,
    )


def _description(settings: StackSettings) -> str:
    """It stays as it is while cluster mode is being enabled: AWS changes nothing else in that request."""
    topology = "replicated" if settings.aws.enableClusterMode else settings.topology
    return f"Valkey {settings.version}, {settings.workload}, {topology}"


def _import_arguments(existing: ExistingGroup | None) -> dict[str, Any]:
    """Of the update that makes a Redis a Valkey.

    It is immediate, since AWS attaches the user group at once, which only a Valkey accepts. And it removes an AUTH
    token; the provider (terraform-provider-aws #45518) sends the strategy only while it attaches a user group.
    """
    immediate = {"apply_immediately": True} if existing and existing.is_redis else {}
    strategy = {"auth_token_update_strategy": "DELETE"} if existing and existing.needs_token_removed else {}
    return {**immediate, **strategy}


def _import_options(settings: StackSettings, existing: ExistingGroup | None) -> pulumi.ResourceOptions:
    """The strategy stays in the state after the import: the provider sends another update when it is removed."""
    keep_strategy = existing is not None and not existing.needs_token_removed
    return pulumi.ResourceOptions(
        import_=settings.aws.existing or None,
        ignore_changes=["authTokenUpdateStrategy"] if keep_strategy else None,
    )


def _node_counts(settings: StackSettings) -> dict[str, Any]:
    """AWS accepts the number of nodes, or of shards and replicas, but not both."""
    mode = cluster_mode(settings)
    if mode != "enabled":
        return {"cluster_mode": mode, "num_cache_clusters": 1 + settings.replica_count}
    return {
        "cluster_mode": mode,
        "num_node_groups": settings.shard_count,
        "replicas_per_node_group": settings.replica_count,
    }


def _restore_source(restore_from: str) -> dict[str, Any]:
    """The name of a snapshot, or the ARN of an RDB file in S3."""
    if not restore_from:
        return {}
    return {"snapshot_arns": [restore_from]} if restore_from.startswith("arn:") else {"snapshot_name": restore_from}


def _final_snapshot(context: Context, name: str) -> pulumi.Output[str]:
    """A name that no earlier group used: AWS does not delete a group if a snapshot of that name exists.

    Every replacement needs another value of one of these keys, or of `aws.allowReplacement`.
    """
    settings = context.settings
    aws = settings.aws
    replacing = [settings.port, settings.restoreFrom, aws.kmsKey, aws.vpcId, aws.subnetGroup]
    replacing += [settings.topology, settings.version, node_type(settings).tiers_data, aws.vpcCidr, aws.region]
    replacing += [aws.existing, aws.allowReplacement]
    resource = context.resource(f"final-snapshot-{_digest(replacing)}")
    later = context.inputs.derive(_network_and_key, *context.inputs.outputs)
    renewal = later.apply(_digest) if isinstance(later, pulumi.Output) else ""  # no part of a resource's name
    unique = Password(resource, renewal, "", context.child_options).value
    return pulumi.Output.unsecret(unique).apply(lambda text: f"{name}-final-{text[:8].lower()}")


def _network_and_key(settings: StackSettings) -> list[str]:
    return [settings.aws.kmsKey, settings.aws.vpcId, settings.aws.subnetGroup]


def _digest(values: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:6]
