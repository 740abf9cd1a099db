"""Updates of a cache in place that AWS would reject halfway, or carry out only in part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.settings.aws.catalogue import FAMILIES, MAX_ECPU, MIN_ECPU
from infra.settings.config_keys import set_command
from infra.targets.previous_resources import Inputs
from infra.targets.update_checks import Obstacle

_NOT_SENT_TOGETHER = {"applyImmediately", "finalSnapshotIdentifier", "tags", "tagsAll", "__defaults", "description"}
"""Inputs that the provider does not send with the others, and the description, which follows them."""

_OF_THE_MODE = {"clusterMode", "numCacheClusters", "numNodeGroups", "parameterGroupName", "replicasPerNodeGroup"}
"""Inputs that change with cluster mode; the numbers of nodes have two forms."""


def find_obstacles(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """Of a replication group or a serverless cache."""
    yield from _engine(previous, new)
    yield from _encryption(previous, new)
    if is_cluster(previous) and _backups(previous) == 0 < _backups(new):
        yield Obstacle("backups of a cluster cannot be enabled later", set_command("aws.backupDays", "0"))
    if datastore := previous.get("globalReplicationGroupId"):
        yield Obstacle(
            "a member of a Global Datastore cannot be imported",
            f"aws elasticache disassociate-global-replication-group --global-replication-group-id {datastore} "
            f"--replication-group-id {new.get('replicationGroupId')} --replication-group-region $AWS_REGION",
        )
    yield from _cluster_mode(previous, new)
    yield from _durability(previous, new)
    yield from _removed_limits(previous, new)
    yield from _logs(previous, new)


def is_cluster(inputs: Inputs) -> bool:
    return inputs.get("clusterMode") == "enabled" or int(inputs.get("numNodeGroups") or 1) > 1


def _engine(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    version = previous.get("engineVersion")
    if previous.get("engine") != new.get("engine") and version == new.get("engineVersion"):
        reason = (
            f"{previous.get('engine')} can become {new.get('engine')} in place only together with a version upgrade"
        )
        yield Obstacle(f"{reason}, and it has version {version}", set_command("version", max(FAMILIES)))


def _encryption(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    enable = (
        f"aws elasticache modify-replication-group --replication-group-id {new.get('replicationGroupId')} "
        "--apply-immediately --transit-encryption-enabled --transit-encryption-mode"
    )
    if previous.get("transitEncryptionEnabled") is False and new.get("transitEncryptionEnabled"):
        reason = "TLS and users cannot be enabled in the same update: enable TLS first, in two steps (docs/aws.md)"
        yield Obstacle(reason, f"{enable} preferred")
    elif previous.get("transitEncryptionMode") == "preferred":
        yield Obstacle("clients may still connect without TLS", f"{enable} required")


def _cluster_mode(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """AWS changes the mode in an update of its own, and nothing else while it is compatible."""
    before, after = previous.get("clusterMode"), new.get("clusterMode")
    if before == "disabled" and after == "enabled":
        reason = "cluster mode is enabled in two updates, the first of which makes the replicated group compatible"
        yield Obstacle(reason, f"{set_command('topology', 'replicated')} && pulumi up")
    elif "compatible" in (before, after):
        if before != after and (shards := int(new.get("numNodeGroups") or 1)) != 1:
            yield Obstacle(f"shards is {shards}, cluster mode is enabled with one", set_command("shards", "1"))
        elif (replicas := _replicas(previous)) != _replicas(new):
            reason = f"cluster mode is enabled with as many replicas as the group has, which are {replicas}"
            yield Obstacle(reason, set_command("replicas", str(replicas)))
        elif others := sorted(_changed(previous, new)):
            subject = "in compatible mode" if before == after else "while cluster mode changes"
            reason = f"{subject} AWS changes nothing else, such as {', '.join(others)}"
            yield Obstacle(reason, "revert the other changes, and make them after cluster mode is enabled")


def _changed(previous: Inputs, new: Inputs) -> set[str]:
    """Inputs with another value, besides those that change with the mode."""
    names = {*previous, *new} - (_NOT_SENT_TOGETHER - {"description"}) - _OF_THE_MODE
    return {name for name in names if previous.get(name) != new.get(name)}


def _replicas(inputs: Inputs) -> int:
    return int(inputs.get("replicasPerNodeGroup", int(inputs.get("numCacheClusters") or 1) - 1))


def _durability(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """AWS changes the durability in an update of its own; leaving it out changes nothing."""
    before, after = previous.get("durability"), new.get("durability")
    if before in ("async", "sync") and not after:
        yield Obstacle("without aws.durability the cache stays durable", set_command("aws.durability", "disabled"))
    elif before != after:
        names = {*previous, *new} - _NOT_SENT_TOGETHER - {"durability"}
        if others := sorted(name for name in names if previous.get(name) != new.get(name)):
            reason = f"aws.durability must change on its own, not together with {', '.join(others)}"
            yield Obstacle(reason, set_command("aws.durability", str(before or "")))


def _backups(inputs: Inputs) -> int:
    return int(inputs.get("snapshotRetentionLimit") or 0)


def _logs(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """AWS requires `ApplyImmediately` for a change of the delivery of logs (User Guide, "Log delivery")."""
    if _deliveries(previous) != _deliveries(new) and not new.get("applyImmediately"):
        reason = "AWS changes the delivery of logs only immediately, not in the maintenance window"
        yield Obstacle(reason, set_command("aws.applyImmediately", "true"))


def _deliveries(inputs: Inputs) -> set[tuple[Any, ...]]:
    deliveries = inputs.get("logDeliveryConfigurations") or ()
    return {tuple(each.get(name) for name in _DELIVERY) for each in deliveries}


_DELIVERY = ("logType", "destinationType", "destination", "logFormat")


def _removed_limits(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """Of a serverless cache.

    The provider sends nothing for a limit that is left out, and rejects the 0 with which AWS removes one.
    """
    before, after = _limits(previous), _limits(new)
    for key, (unit, without_effect) in _LIMITS.items():
        if before[key] and not after[key]:
            reason = f"without {key} the cache keeps its limit of {before[key]} {unit}"
            yield Obstacle(reason, set_command(key, without_effect))


_LIMITS = {
    "aws.maxEcpu": ("ECPU per second", str(MAX_ECPU)),
    "aws.minEcpu": ("ECPU per second", str(MIN_ECPU)),
    "aws.minMemory": ("GB", "1gb"),
}
"""The unit of each limit, and a value with the least effect."""


def _limits(inputs: Inputs) -> dict[str, int]:
    """By key; 0 if there is none."""
    limits = inputs.get("cacheUsageLimits") or {}
    ecpu, storage = (limits.get("ecpuPerSeconds") or [{}])[0], limits.get("dataStorage") or {}
    found = {"aws.maxEcpu": ecpu.get("maximum"), "aws.minEcpu": ecpu.get("minimum")}
    return {key: int(limit or 0) for key, limit in {**found, "aws.minMemory": storage.get("minimum")}.items()}
