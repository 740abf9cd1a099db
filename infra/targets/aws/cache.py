"""What a cache is to the rest, whether it has nodes or is serverless, and what its guard says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from valkeykit.url import Node

from infra.settings import Settings
from infra.settings.keys import put
from infra.targets.aws.access import Access
from infra.targets.aws.context import Context
from infra.targets.aws.network import Network
from infra.targets.guard import Guard, Inputs, is_older

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"

REPLACES = (
    *("atRestEncryptionEnabled", "dataTieringEnabled", "kmsKeyId", "networkType", "port", "replicationGroupId"),
    *("snapshotArns", "snapshotName", "subnetGroupName"),
    *("name", "snapshotArnsToRestores", "subnetIds"),
)
"""Inputs of either that can't be changed in place (`ForceNew` in the provider's schema)."""


@dataclass(frozen=True)
class Surroundings:
    """What a cache is made in. key: the ARN of its encryption's key, None for AWS's own."""

    network: Network
    access: Access
    key: pulumi.Input[str] | None
    topic: pulumi.Output[str]


@dataclass(frozen=True)
class Cache:
    """name: as IAM's logins and CloudWatch know it. nodes: where clients connect. maxmemory: bytes of data."""

    name: str
    arn: pulumi.Output[str]
    nodes: pulumi.Output[Sequence[Node]]
    version: pulumi.Output[str]
    maxmemory: int


def guard(settings: Settings) -> Guard | None:
    """Keeps the cache from being replaced or taken back to an older version; None where that is allowed."""
    return None if settings.aws.allowReplacement else Guard((GROUP, SERVERLESS), put("aws.allowReplacement", "true"))


def kept(context: Context) -> pulumi.ResourceOptions:
    """The options of the cache: kept by its guard, or free to be replaced under its own name."""
    if context.guard is None:
        return pulumi.ResourceOptions(delete_before_replace=True)
    is_serverless = context.settings.topology == "serverless"
    version = "majorEngineVersion" if is_serverless else "engineVersion"

    def objections(former: Inputs, new: Inputs) -> Iterator[str]:
        yield from changes_refused(former, new, version)

    return context.guard.keep(
        "the serverless cache" if is_serverless else "the replication group", REPLACES, objections
    )


def changes_refused(former: Inputs, new: Inputs, version: str) -> Iterator[str]:
    """What ElastiCache does by replacing, or only with a detour, though it looks like an update."""
    before, after = str(former.get(version, "")), str(new.get(version, ""))
    if former.get("engine") == new.get("engine"):
        if before and is_older(after, before):
            yield f"the version would go back from {before} to {after}, which replaces the cache"
    elif before == after:
        yield f"{former.get('engine')} becomes {new.get('engine')} in place only together with another version"
    yield from _detours(former, new)


def _detours(former: Inputs, new: Inputs) -> Iterator[str]:
    if _is_cluster(former) != _is_cluster(new):
        yield "a cluster and a group without shards don't become each other in place: make a new stack and migrate"
    if former.get("transitEncryptionEnabled") is False and new.get("transitEncryptionEnabled"):
        yield "TLS can't be turned on in the same update as users: turn it on first, docs/aws.md says how"


def _is_cluster(inputs: Inputs) -> bool:
    return inputs.get("clusterMode") == "enabled" or int(inputs.get("numNodeGroups") or 1) > 1


def is_immediate(settings: Settings) -> bool:
    """Whether a change waits for the maintenance window."""
    chosen = settings.aws.applyImmediately
    return settings.environment == "dev" if chosen is None else chosen


def backup_days(settings: Settings) -> int:
    """Above 0 from the start: a cluster can't be given backups later."""
    return settings.aws.backupDays or (7 if settings.environment == "prod" else 1)


def node(host: Any, port: Any) -> Node:
    """Pulumi's numbers are floats."""
    return Node(str(host), int(port))
