"""The common part of replication groups and serverless caches, and their protection against replacement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from valkeykit.url import Node

from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.aws.access import UserAccess
from infra.targets.aws.existing_group import ExistingGroup
from infra.targets.aws.network import Network
from infra.targets.aws.update_obstacles import find_obstacles, is_cluster
from infra.targets.context import Context
from infra.targets.identity import Identity
from infra.targets.previous_resources import Inputs, PreviousResources
from infra.targets.replacement_guard import ReplacementGuard, is_older
from infra.targets.update_checks import check_updates

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"

REPLACING_INPUTS = (
    *(
        "atRestEncryptionEnabled",
        "clusterMode",
        "dataTieringEnabled",
        "kmsKeyId",
        "networkType",
        "port",
        "replicationGroupId",
    ),
    *("snapshotArns", "snapshotName", "subnetGroupName"),
    *("name", "snapshotArnsToRestores", "subnetIds"),
)
"""Inputs that cannot be changed in place (`ForceNew` in the provider's schema)."""


@dataclass(frozen=True)
class CacheDependencies:
    """What a cache needs. key: the ARN of its encryption key; None for AWS's own. topic: the ARN for its events.
    existing: the group to import.
    """

    network: Network
    access: UserAccess
    key: pulumi.Input[str] | None
    topic: pulumi.Output[str]
    existing: ExistingGroup | None = None


@dataclass(frozen=True)
class ManagedCache:
    """name: in IAM and CloudWatch. nodes: the endpoints for clients. maxmemory: of a shard, in bytes.
    members: the names of the nodes in CloudWatch; None for a serverless cache.
    configuration_endpoint: for clients with the cluster protocol, in addition to the nodes.
    """

    name: str
    arn: pulumi.Output[str]
    nodes: pulumi.Output[Sequence[Node]]
    version: pulumi.Output[str]
    maxmemory: int
    members: pulumi.Output[Sequence[str]] | None = None
    configuration_endpoint: pulumi.Output[str] | None = None


def create_guard(settings: StackSettings, identity: Identity, previous: PreviousResources) -> ReplacementGuard | None:
    """Protection against replacement and downgrade; None if the configuration allows them."""
    return (
        None
        if settings.aws.allowReplacement
        else ReplacementGuard(
            (GROUP, SERVERLESS), set_command("aws.allowReplacement", "true"), previous, identity.prefix
        )
    )


def cache_options(context: Context) -> pulumi.ResourceOptions:
    """The options of the cache: checked, and protected, or replaceable under its own name."""
    is_serverless = context.settings.topology == "serverless"
    what = "the serverless cache" if is_serverless else "the replication group"
    version = "majorEngineVersion" if is_serverless else "engineVersion"

    def find_problems(previous: Inputs, new: Inputs) -> Iterator[str]:
        yield from replacing_changes(previous, new, version)

    return pulumi.ResourceOptions.merge(
        context.guard.protect(what, REPLACING_INPUTS, find_problems)
        if context.guard
        else pulumi.ResourceOptions(delete_before_replace=True),
        pulumi.ResourceOptions.merge(
            check_updates(context.resource(f"checks of {what}"), find_obstacles),
            # The provider would change the mode in place, which AWS rejects after the first step.
            pulumi.ResourceOptions(
                replace_on_changes=[] if context.settings.aws.enableClusterMode else ["clusterMode"]
            ),
        ),
    )


def replacing_changes(previous: Inputs, new: Inputs, version: str) -> Iterator[str]:
    """Changes that look like updates, but that ElastiCache carries out by replacing."""
    before, after = str(previous.get(version, "")), str(new.get(version, ""))
    if previous.get("engine") == new.get("engine") and before and is_older(after, before):
        yield f"a downgrade from {before} to {after} would replace the cache (a pending upgrade: see docs/aws.md)"
    if is_cluster(previous) != is_cluster(new) and previous.get("clusterMode") != "compatible":
        yield "cluster mode cannot be changed in place, except by aws.enableClusterMode (docs/aws.md)"


def is_immediate(settings: StackSettings) -> bool:
    """Whether changes are applied outside the maintenance window."""
    if settings.aws.enableClusterMode:  # both updates must be complete before the next one
        return True
    configured = settings.aws.applyImmediately
    return settings.environment == "dev" if configured is None else configured


def backup_days(settings: StackSettings) -> int:
    """By default never 0: backups cannot be enabled later for a cluster."""
    configured = settings.aws.backupDays
    return (7 if settings.environment == "prod" else 1) if configured is None else configured


def to_node(host: Any, port: Any) -> Node:
    """Pulumi passes numbers as floats."""
    return Node(str(host), int(port))
