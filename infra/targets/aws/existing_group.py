"""An existing replication group, as AWS describes it before and after its import."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
from pulumi_aws.elasticache.get_cluster import get_cluster
from pulumi_aws.elasticache.get_replication_group import get_replication_group
from valkeykit.errors import ConfigurationError

from infra.settings import ConfigProblem, StackSettings
from infra.settings.aws.node_types import NODE_TYPES
from infra.settings.aws.sizing import node_type
from infra.settings.config_keys import remove_command, set_command


@dataclass(frozen=True)
class ExistingGroup:
    """is_redis: until the import has made it a Valkey. needs_token_removed: clients log in with an AUTH token."""

    is_redis: bool = False
    needs_token_removed: bool = False


def look_up_existing(settings: StackSettings, provider: pulumi.ProviderResource) -> ExistingGroup | None:
    """The group of `aws.existing`; None without one.

    Raises:
        ConfigurationError: AWS does not find it, or its import would change its size; no resource was registered.
    """
    name, options = settings.aws.existing, pulumi.InvokeOptions(provider=provider)
    if not name:
        return None
    try:
        group = get_replication_group(replication_group_id=name, opts=options)
        members = sorted(group.member_clusters)
        node = get_cluster(cluster_id=members[0], opts=options)
    except Exception as problem:  # noqa: BLE001 — Pulumi's invokes raise nothing more precise
        reason = str(problem).strip().splitlines()[-1]
        raise ConfigurationError(
            f"AWS cannot look up the replication group {name}: {reason}", fix=set_command("aws.existing", "its-id")
        ) from None
    is_redis = node.engine == "redis"
    is_cluster = group.cluster_mode == "enabled"
    shards = int(group.num_node_groups or 1)
    replicas = len(members) // shards - 1
    if is_redis:
        _reject_other_sizes(settings, is_cluster=is_cluster, shards=shards, replicas=replicas, node=group.node_type)
        _reject_unnamed_nodes(settings, members, backup_days=int(group.snapshot_retention_limit or 0))
        if not node.parameter_group_name.startswith("default."):
            pulumi.log.warn(
                f"aws: {name} gets a parameter group of the stack instead of {node.parameter_group_name}; AWS rejects "
                "the update if its static parameters, such as databases, have other values: see docs/aws.md"
            )
    return ExistingGroup(is_redis, needs_token_removed=bool(group.auth_token_enabled))


def _reject_other_sizes(settings: StackSettings, *, is_cluster: bool, shards: int, replicas: int, node: str) -> None:
    """The import is one update, which must not scale the cache as well."""
    problems = list(_other_sizes(settings, is_cluster=is_cluster, shards=shards, replicas=replicas, node=node))
    if problems:
        text = "\n".join(map(str, problems))
        raise ConfigurationError(f"{settings.aws.existing} is not as configured; nothing was changed:\n{text}")


def _other_sizes(
    settings: StackSettings, *, is_cluster: bool, shards: int, replicas: int, node: str
) -> Iterator[ConfigProblem]:
    topology = "cluster" if is_cluster else "replicated" if replicas else "single"
    found: dict[str, tuple[object, object]] = {
        "topology": (settings.topology, topology),
        "aws.nodeType": (node_type(settings).name, node),
    }
    if topology != "single":
        found["replicas"] = (settings.replica_count, replicas)
    if is_cluster:
        found["shards"] = (settings.shard_count, shards)
    for key, (configured, actual) in found.items():
        if configured != actual:
            yield ConfigProblem(key, f"is {configured}, the group has {actual}", set_command(key, str(actual)))
    if node in NODE_TYPES and settings.maxmemory > NODE_TYPES[node].comfortable:
        fitting = f"{NODE_TYPES[node].comfortable // 1024**2}mb"
        yield ConfigProblem("memory", f"is {settings.memory}, {node} holds {fitting}", set_command("memory", fitting))
    for key in ("replicas", "shards"):
        if key not in found and getattr(settings, key) is not None:
            yield ConfigProblem(key, f"is set, the group has no {key}", remove_command(key))


def _reject_unnamed_nodes(settings: StackSettings, members: list[str], *, backup_days: int) -> None:
    """The provider enables backups on the node `-001`."""
    first = f"{settings.aws.existing}-001"
    if settings.topology != "cluster" and settings.aws.backupDays != 0 and not backup_days and first not in members:
        raise ConfigurationError(
            f"{settings.aws.existing} has no backups, and no node {first} on which they can be enabled",
            fix=f"aws elasticache modify-replication-group --replication-group-id {settings.aws.existing} "
            f"--snapshot-retention-limit 1 --snapshotting-cluster-id {members[0]} --apply-immediately",
        )
