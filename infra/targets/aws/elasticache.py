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
from infra.targets.context import Context
from infra.targets.identity import Identity
from infra.targets.previous_resources import Inputs, PreviousResources
from infra.targets.replacement_guard import ReplacementGuard, is_older

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

_OURS = {"applyImmediately", "finalSnapshotIdentifier", "tags", "tagsAll", "__defaults", "description"}
"""Inputs that the provider does not send with the others, and the description, which follows them."""


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
    """

    name: str
    arn: pulumi.Output[str]
    nodes: pulumi.Output[Sequence[Node]]
    version: pulumi.Output[str]
    maxmemory: int
    members: pulumi.Output[Sequence[str]] | None = None


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
    """The options of the cache: protected, or replaceable under its own name."""
    # The provider would change the mode in place, which AWS rejects after the first step.
    replaced_on = ["clusterMode"]
    if context.guard is None:
        return pulumi.ResourceOptions(delete_before_replace=True, replace_on_changes=replaced_on)
    is_serverless = context.settings.topology == "serverless"
    version = "majorEngineVersion" if is_serverless else "engineVersion"

    def find_objections(previous: Inputs, new: Inputs) -> Iterator[str]:
        yield from rejected_changes(previous, new, version)

    protection = context.guard.protect(
        "the serverless cache" if is_serverless else "the replication group", REPLACING_INPUTS, find_objections
    )
    return pulumi.ResourceOptions.merge(protection, pulumi.ResourceOptions(replace_on_changes=replaced_on))


def rejected_changes(previous: Inputs, new: Inputs, version: str) -> Iterator[str]:
    """Changes that look like updates, but that ElastiCache carries out by replacing, or only in several steps."""
    before, after = str(previous.get(version, "")), str(new.get(version, ""))
    if previous.get("engine") == new.get("engine"):
        if before and is_older(after, before):
            yield f"a downgrade from {before} to {after} would replace the cache (a pending upgrade: see docs/aws.md)"
    elif before == after:
        yield f"{previous.get('engine')} can become {new.get('engine')} in place only together with a version upgrade"
    yield from _multi_step_changes(previous, new)


def _multi_step_changes(previous: Inputs, new: Inputs) -> Iterator[str]:
    if _is_cluster(previous) != _is_cluster(new):
        yield "cluster mode cannot be changed in place: create a new stack and migrate"
    if previous.get("transitEncryptionEnabled") is False and new.get("transitEncryptionEnabled"):
        yield "TLS and users cannot be enabled in the same update: enable TLS first, see docs/aws.md"
    elif previous.get("transitEncryptionMode") == "preferred":
        yield "clients may still connect without TLS: set its TLS mode to required first, see docs/aws.md"
    if _is_cluster(previous) and _backups(previous) == 0 < _backups(new):
        yield "backups of a cluster cannot be enabled later: set aws.backupDays to 0, or restore it into a new stack"
    if previous.get("globalReplicationGroupId"):
        yield "a member of a Global Datastore cannot be imported: remove it from the datastore first"
    yield from _durability_changes(previous, new)


def _durability_changes(previous: Inputs, new: Inputs) -> Iterator[str]:
    """AWS changes the durability in an update of its own; leaving it out changes nothing."""
    before, after = previous.get("durability"), new.get("durability")
    if before in ("async", "sync") and not after:
        yield "without aws.durability the cache stays durable: set it to disabled"
    elif before != after:
        others = {name for name in {*previous, *new} - _OURS if previous.get(name) != new.get(name)} - {"durability"}
        if others:
            yield f"aws.durability must change on its own, not together with {', '.join(sorted(others))}"


def _backups(inputs: Inputs) -> int:
    return int(inputs.get("snapshotRetentionLimit") or 0)


def _is_cluster(inputs: Inputs) -> bool:
    return inputs.get("clusterMode") == "enabled" or int(inputs.get("numNodeGroups") or 1) > 1


def is_immediate(settings: StackSettings) -> bool:
    """Whether changes are applied outside the maintenance window."""
    configured = settings.aws.applyImmediately
    return settings.environment == "dev" if configured is None else configured


def backup_days(settings: StackSettings) -> int:
    """By default never 0: backups cannot be enabled later for a cluster."""
    configured = settings.aws.backupDays
    return (7 if settings.environment == "prod" else 1) if configured is None else configured


def to_node(host: Any, port: Any) -> Node:
    """Pulumi passes numbers as floats."""
    return Node(str(host), int(port))
