"""What the keys of an aws stack may not say together: the service's own limits, before it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.aws.catalogue import FAMILIES, MAXIMUM_NODES
from infra.settings.aws.nodes import DURABLE_FAMILIES, NODE_TYPES, largest, smallest
from infra.settings.aws.windows import overlap, too_short
from infra.settings.keys import Mistake, drop, put

if TYPE_CHECKING:
    from infra.settings.stack import Settings

_ARN = re.compile(r"arn:aws(-[a-z]+)*:[a-z0-9-]+:(?P<region>[a-z0-9-]*):")
_S3_FILE = re.compile(r"arn:aws(-[a-z]+)*:s3:::[^,\s]+/[^,\s]+")
_SNAPSHOT = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,254}")
_SNAPSHOT_ARN = re.compile(r"arn:aws(-[a-z]+)*:elasticache:[a-z0-9-]+:\d{12}:(serverless)?snapshot:[^,\s]+")

STORAGE = range(1, 5001)
"""Gigabytes that a serverless cache may store (CreateServerlessCache, DataStorage)."""


def mistakes(settings: Settings) -> Iterator[Mistake]:
    """Everything that ElastiCache would refuse, or would only find out half-way."""
    if not settings.aws.region:
        yield Mistake("aws.region", "is needed", put("aws.region", "eu-central-1"))
    if settings.version not in FAMILIES:
        known = ", ".join(FAMILIES)
        yield Mistake("version", f"is {settings.version}, ElastiCache has {known}", put("version", "9.1"))
    yield from _places(settings)
    yield from _network(settings)
    yield from _windows(settings)
    yield from _restore(settings)
    yield from _login(settings)
    yield from _serverless(settings) if settings.topology == "serverless" else _nodes(settings)


def _places(settings: Settings) -> Iterator[Mistake]:
    """A key and a snapshot of another region are of no use."""
    for key, arn in (("aws.kmsKey", settings.aws.kmsKey), ("restoreFrom", settings.restoreFrom)):
        found = _ARN.match(arn)
        region = found["region"] if found else ""
        if region and settings.aws.region and region != settings.aws.region:
            yield Mistake(key, f"is in {region}, the stack in {settings.aws.region}", drop(key))


def _network(settings: Settings) -> Iterator[Mistake]:
    aws = settings.aws
    if aws.vpcId and not aws.subnetIds:
        yield Mistake("aws.vpcId", "is set, but no subnetIds", drop("aws.vpcId"))
    if aws.subnetIds and not aws.vpcId:
        yield Mistake("aws.subnetIds", "are set, but no vpcId", drop("aws.subnetIds"))
    if aws.subnetGroup and (aws.vpcId or aws.subnetIds):
        yield Mistake("aws.subnetGroup", "is set beside VPC and subnets of its own", drop("aws.subnetGroup"))
    if aws.vpcId or aws.subnetGroup:
        for key in sorted({"zones", "vpcCidr"} & _chosen(settings)):
            yield Mistake(f"aws.{key}", "is set, but the VPC is an existing one", drop(f"aws.{key}"))
    if len(set(aws.subnetIds)) != len(aws.subnetIds):
        yield Mistake(
            "aws.subnetIds", "names a subnet twice", put("aws.subnetIds", ",".join(dict.fromkeys(aws.subnetIds)))
        )


def _windows(settings: Settings) -> Iterator[Mistake]:
    aws = settings.aws
    if too_short(aws.backupWindow):
        yield Mistake("aws.backupWindow", f"is {aws.backupWindow}, shorter than an hour", drop("aws.backupWindow"))
    if too_short(aws.maintenanceWindow):
        reason = f"is {aws.maintenanceWindow}, shorter than an hour"
        yield Mistake("aws.maintenanceWindow", reason, drop("aws.maintenanceWindow"))
    if overlap(aws.backupWindow, aws.maintenanceWindow):
        key = next(iter({"backupWindow", "maintenanceWindow"} & _chosen(settings)), "backupWindow")
        reason = f"overlaps the other one ({aws.backupWindow}, {aws.maintenanceWindow})"
        yield Mistake(f"aws.{key}", reason, drop(f"aws.{key}"))


def _restore(settings: Settings) -> Iterator[Mistake]:
    source = settings.restoreFrom
    if not source:
        return
    if settings.topology == "serverless":
        if not _SNAPSHOT_ARN.fullmatch(source):
            yield Mistake(
                "restoreFrom", f"is {source!r}, a serverless cache takes a snapshot's ARN", drop("restoreFrom")
            )
    elif not (_S3_FILE.fullmatch(source) or _SNAPSHOT.fullmatch(source)):
        reason = f"is {source!r}, no snapshot's name and no arn:aws:s3:::bucket/file.rdb"
        yield Mistake("restoreFrom", reason, drop("restoreFrom"))
    if settings.aws.existing:
        yield Mistake("restoreFrom", "is set, but the group exists already", drop("restoreFrom"))


def _login(settings: Settings) -> Iterator[Mistake]:
    if settings.aws.auth == "iam" and settings.rotation:
        yield Mistake(
            "rotation", f"is {settings.rotation!r}, but with auth iam there are no passwords", drop("rotation")
        )


def _nodes(settings: Settings) -> Iterator[Mistake]:
    aws, copies = settings.aws, settings.replica_count
    if settings.maxmemory > largest().comfortable:
        room = largest().comfortable // 1024**3
        yield Mistake("memory", f"is {settings.memory}, the largest node holds {room}gb", put("memory", f"{room}gb"))
    elif aws.nodeType and settings.maxmemory > NODE_TYPES[aws.nodeType].comfortable:
        room = NODE_TYPES[aws.nodeType].comfortable // 1024**2
        reason = f"is {aws.nodeType}, which holds {room}mb with head room; memory is {settings.memory}"
        fitting = smallest(settings.maxmemory)
        yield Mistake("aws.nodeType", reason, put("aws.nodeType", fitting.name if fitting else ""))
    if (nodes := settings.shard_count * (1 + copies)) > MAXIMUM_NODES:
        fitting_shards = MAXIMUM_NODES // (1 + copies)
        reason = f"are {settings.shard_count}, with replicas {nodes} nodes; the limit is {MAXIMUM_NODES}"
        yield Mistake("shards", reason, put("shards", str(fitting_shards)))
    if aws.multiZone and not copies:
        yield Mistake(
            "aws.multiZone", "is true, but there are no replicas to stand in another zone", drop("aws.multiZone")
        )
    if aws.maxEcpu is not None:
        yield Mistake("aws.maxEcpu", f"is {aws.maxEcpu}, but only a serverless cache has it", drop("aws.maxEcpu"))
    if aws.durability:
        yield from _durability(settings)


def _durability(settings: Settings) -> Iterator[Mistake]:
    node = settings.aws.nodeType or getattr(smallest(settings.maxmemory), "name", "cache.r7g.large")
    obstacles = {
        "the topology isn't cluster": settings.topology != "cluster",
        f"the version is {settings.version}, older than 9.0": not settings.version.startswith("9."),
        "there are no replicas": not settings.replica_count,
        "multiZone is false": settings.aws.multiZone is False,
        f"the node type is {node}": node.split(".")[1] not in DURABLE_FAMILIES,
    }
    if reasons := [reason for reason, found in obstacles.items() if found]:
        reason = f"is {settings.aws.durability}, but {' and '.join(reasons)}"
        yield Mistake("aws.durability", reason, drop("aws.durability"))


def _serverless(settings: Settings) -> Iterator[Mistake]:
    aws = settings.aws
    if gigabytes(settings) not in STORAGE:
        reason = f"is {settings.memory}, a serverless cache stores {STORAGE.start}gb to {STORAGE.stop - 1}gb"
        yield Mistake("memory", reason, put("memory", f"{STORAGE.stop - 1}gb"))
    if settings.port not in (0, 6379):
        yield Mistake("port", f"is {settings.port}, a serverless cache answers at 6379", put("port", "0"))
    if settings.workload == "queue":
        reason = "is queue, but a serverless cache evicts keys that have a TTL"
        yield Mistake("workload", reason, put("workload", "mixed"))
    for key in ("nodeType", "subnetGroup", "durability", "existing"):
        if getattr(aws, key):
            yield Mistake(f"aws.{key}", "is set, but a serverless cache has no such thing", drop(f"aws.{key}"))
    for key in sorted({"multiZone", "maintenanceWindow", "applyImmediately", "logDays"} & _chosen(settings)):
        yield Mistake(f"aws.{key}", "is set, but a serverless cache has no such thing", drop(f"aws.{key}"))
    if aws.subnetIds and len(aws.subnetIds) not in (2, 3):
        reason = f"are {len(aws.subnetIds)}, a serverless cache takes 2 or 3"
        yield Mistake("aws.subnetIds", reason, put("aws.subnetIds", ",".join((*aws.subnetIds, "subnet-0a1b")[:3])))


def gigabytes(settings: Settings) -> int:
    """`memory` as a serverless cache counts it, rounded up."""
    return -(-settings.maxmemory // 1024**3)


def _chosen(settings: Settings) -> set[str]:
    """The keys of the section that were set; a default is no contradiction."""
    return {name for name in settings.aws.model_fields_set if getattr(settings.aws, name) is not None}
