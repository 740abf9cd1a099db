"""Cross-key validation for the aws target: ElastiCache's own limits, checked before any request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings.aws import cluster_mode, parameters, users
from infra.settings.aws.catalogue import ADJUSTABLE_METRICS, FAMILIES, MAX_NODE_QUOTA, partition
from infra.settings.aws.node_types import DURABLE_FAMILIES, NODE_TYPES, largest, smallest
from infra.settings.aws.sizing import min_storage_gigabytes, storage_gigabytes
from infra.settings.aws.windows import overlap, too_short
from infra.settings.config_keys import ConfigProblem, remove_command, set_command

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings

_ARN = re.compile(r"arn:(?P<partition>aws(-[a-z]+)*):[a-z0-9-]+:(?P<region>[a-z0-9-]*):")
_S3_FILE = re.compile(r"arn:aws(-[a-z]+)*:s3:::[^,\s]+/[^,\s]+")
_SNAPSHOT = re.compile(r"(automatic\.)?[a-zA-Z](-?[a-zA-Z0-9]){0,254}")
_SNAPSHOT_ARN = re.compile(r"arn:aws(-[a-z]+)*:elasticache:[a-z0-9-]+:\d{12}:(serverless)?snapshot:[^,\s]+")

_OF_NODES = {
    *("applyImmediately", "autoMinorUpgrade", "logDays", "logFirehose", "logFormat", "logKmsKey"),
    *("maintenanceWindow", "multiZone", "nodeQuota"),
}
"""Keys that a serverless cache does not have, also with their default values."""

STORAGE_GIGABYTES = range(1, 5001)
"""Of a serverless cache (CreateServerlessCache, DataStorage)."""


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """Everything that ElastiCache would reject, some of it in the middle of an update."""
    if not settings.aws.region:
        yield ConfigProblem("aws.region", "is required", set_command("aws.region", "eu-central-1"))
    if settings.version not in FAMILIES:
        reason = f"is {settings.version}, ElastiCache supports {', '.join(FAMILIES)}"
        yield ConfigProblem("version", reason, set_command("version", "9.1"))
    yield from _regions(settings)
    yield from _network(settings)
    if settings.topology != "serverless":  # whose backups only begin at a time
        yield from _windows(settings)
    yield from _restore(settings)
    yield from _login(settings)
    yield from cluster_mode.find_problems(settings)
    yield from parameters.find_problems(settings)
    yield from users.find_problems(settings)
    yield from _logs(settings)
    yield from _dns(settings)
    yield from _alarms(settings)
    if settings.topology == "serverless":
        yield from _serverless(settings)
    else:
        yield from _nodes(settings)
        yield from _size_of_existing(settings)


def _regions(settings: StackSettings) -> Iterator[ConfigProblem]:
    """ElastiCache cannot use a key, a topic or a snapshot of another region."""
    aws = settings.aws
    keys = {"aws.kmsKey": aws.kmsKey, "aws.logKmsKey": aws.logKmsKey, "aws.topicKmsKey": aws.topicKmsKey}
    for key, arn in {**keys, "aws.topicArn": aws.topicArn, "restoreFrom": settings.restoreFrom}.items():
        match = _ARN.match(arn)
        region = match["region"] if match else ""
        if region and aws.region and region != aws.region:
            reason = f"is in {region}, the stack is in {aws.region}"
            yield ConfigProblem(key, reason, remove_command(key))
        elif match and aws.region and match["partition"] != partition(aws.region):
            reason = (
                f"starts with arn:{match['partition']}, in {aws.region} ARNs start with arn:{partition(aws.region)}"
            )
            yield ConfigProblem(
                key, reason, set_command(key, arn.replace(match["partition"], partition(aws.region), 1))
            )


def _network(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws = settings.aws
    if aws.vpcId and not aws.subnetIds:
        yield ConfigProblem("aws.vpcId", "is set without subnetIds", remove_command("aws.vpcId"))
    if aws.subnetIds and not aws.vpcId:
        yield ConfigProblem("aws.subnetIds", "is set without vpcId", remove_command("aws.subnetIds"))
    if aws.subnetGroup and (aws.vpcId or aws.subnetIds):
        reason = "is set in addition to a VPC and subnets"
        yield ConfigProblem("aws.subnetGroup", reason, remove_command("aws.subnetGroup"))
    if aws.vpcId or aws.subnetGroup:
        for key in sorted({"zones", "vpcCidr"} & _configured(settings)):
            yield ConfigProblem(f"aws.{key}", "is set, but the VPC already exists", remove_command(f"aws.{key}"))
    if len(set(aws.subnetIds)) != len(aws.subnetIds):
        unique = ",".join(dict.fromkeys(aws.subnetIds))
        yield ConfigProblem("aws.subnetIds", "lists a subnet twice", set_command("aws.subnetIds", unique))


def _windows(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws = settings.aws
    for key, window in (("backupWindow", aws.backupWindow), ("maintenanceWindow", aws.maintenanceWindow)):
        if too_short(window):
            yield ConfigProblem(f"aws.{key}", f"is {window}, shorter than an hour", remove_command(f"aws.{key}"))
    if overlap(aws.backupWindow, aws.maintenanceWindow):
        key = next(iter({"backupWindow", "maintenanceWindow"} & _configured(settings)), "backupWindow")
        reason = f"overlaps the other window ({aws.backupWindow}, {aws.maintenanceWindow})"
        yield ConfigProblem(f"aws.{key}", reason, remove_command(f"aws.{key}"))


def _restore(settings: StackSettings) -> Iterator[ConfigProblem]:
    source = settings.restoreFrom
    if not source:
        return
    if settings.topology == "serverless":
        if not (_SNAPSHOT_ARN.fullmatch(source) or _S3_FILE.fullmatch(source)):
            reason = f"is {source!r}, a serverless cache needs the ARN of a snapshot or of an RDB file in S3"
            yield ConfigProblem("restoreFrom", reason, remove_command("restoreFrom"))
    elif not (_S3_FILE.fullmatch(source) or _SNAPSHOT.fullmatch(source)):
        reason = f"is {source!r}, expected the name of a snapshot or arn:aws:s3:::bucket/file.rdb"
        yield ConfigProblem("restoreFrom", reason, remove_command("restoreFrom"))
    elif settings.topology == "cluster" and _S3_FILE.fullmatch(source):
        reason = "is an RDB file, which AWS loads into a cluster only together with slots that can't change later"
        yield ConfigProblem("restoreFrom", f"{reason}: see docs/aws.md", remove_command("restoreFrom"))
    if settings.aws.existing:
        reason = "is set, but the replication group already exists"
        yield ConfigProblem("restoreFrom", reason, remove_command("restoreFrom"))


def _login(settings: StackSettings) -> Iterator[ConfigProblem]:
    if settings.aws.auth == "iam" and settings.passwordRotation:
        reason = f"is {settings.passwordRotation!r}, but with auth iam there are no passwords"
        yield ConfigProblem("passwordRotation", reason, remove_command("passwordRotation"))


def _logs(settings: StackSettings) -> Iterator[ConfigProblem]:
    if settings.aws.logFirehose and settings.topology != "serverless":
        for key in sorted({"logDays", "logKmsKey"} & _configured(settings)):
            reason = "is set, but the logs go to the Firehose stream of aws.logFirehose"
            yield ConfigProblem(f"aws.{key}", reason, remove_command(f"aws.{key}"))


def _dns(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws = settings.aws
    if aws.dnsName and not aws.hostedZone:
        yield ConfigProblem("aws.dnsName", "is set without hostedZone", remove_command("aws.dnsName"))
    if aws.hostedZone and not aws.dnsName:
        yield ConfigProblem("aws.hostedZone", "is set without dnsName", remove_command("aws.hostedZone"))


def _alarms(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws = settings.aws
    if aws.topicArn and aws.alertEmails:
        reason = "is set, but the topic of aws.topicArn has its own subscriptions"
        yield ConfigProblem("aws.alertEmails", reason, remove_command("aws.alertEmails"))
    if aws.topicArn and aws.topicKmsKey:
        reason = "is set, but the topic of aws.topicArn has its own key"
        yield ConfigProblem("aws.topicKmsKey", reason, remove_command("aws.topicKmsKey"))
    if aws.alarmThresholds and not aws.alarms:
        yield ConfigProblem(
            "aws.alarmThresholds", "is set, but aws.alarms is false", remove_command("aws.alarmThresholds")
        )
    if unknown := sorted(aws.alarmThresholds.keys() - ADJUSTABLE_METRICS):
        known = ",".join(f"{name}={value:g}" for name, value in aws.alarmThresholds.items() if name not in unknown)
        reason = f"has {', '.join(unknown)}; alarms with a threshold are {', '.join(sorted(ADJUSTABLE_METRICS))}"
        fix = set_command("aws.alarmThresholds", known) if known else remove_command("aws.alarmThresholds")
        yield ConfigProblem("aws.alarmThresholds", reason, fix)


def _nodes(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws, replicas = settings.aws, settings.replica_count
    if settings.maxmemory > largest().comfortable:
        limit = largest().comfortable // 1024**3
        reason = f"is {settings.memory}, the largest node type holds {limit}gb"
        yield ConfigProblem("memory", reason, set_command("memory", f"{limit}gb"))
    elif aws.nodeType and settings.maxmemory > NODE_TYPES[aws.nodeType].comfortable:
        limit = NODE_TYPES[aws.nodeType].comfortable // 1024**2
        reason = f"is {aws.nodeType}, which holds {limit}mb with headroom; memory is {settings.memory}"
        fitting = smallest(settings.maxmemory)
        yield ConfigProblem("aws.nodeType", reason, set_command("aws.nodeType", fitting.name if fitting else ""))
    nodes, quota = settings.shard_count * (1 + replicas), aws.nodeQuota
    if nodes > quota:
        reason = f"is {settings.shard_count}, which makes {nodes} nodes with replicas; the quota is {quota}"
        if quota < nodes <= MAX_NODE_QUOTA:
            reason = f"{reason} (aws.nodeQuota, where AWS has raised it)"
        yield ConfigProblem("shards", reason, set_command("shards", str(quota // (1 + replicas))))
    yield from _addresses(settings, nodes)
    if aws.multiZone and not replicas:
        reason = "is true, but there are no replicas for another zone"
        yield ConfigProblem("aws.multiZone", reason, remove_command("aws.multiZone"))
    for key in ("maxEcpu", "minEcpu", "minMemory"):
        if (limit := getattr(aws, key)) is not None:
            reason = f"is {limit}, but only a serverless cache has this limit"
            yield ConfigProblem(f"aws.{key}", reason, remove_command(f"aws.{key}"))
    if aws.durability:
        yield from _durability(settings)


def _addresses(settings: StackSettings, nodes: int) -> Iterator[ConfigProblem]:
    """Of a new VPC, whose range can't grow: the nodes of a zone share a quarter of it."""
    aws = settings.aws
    if aws.vpcId or aws.subnetGroup:
        return
    in_a_zone = -(-nodes // aws.zones)
    network = ipaddress.IPv4Network(aws.vpcCidr)
    if in_a_zone > _usable(network.prefixlen):
        prefix = next(prefix for prefix in range(26, 15, -1) if _usable(prefix) >= 2 * in_a_zone)
        wider = ipaddress.IPv4Network((network.network_address, prefix), strict=False)
        reason = f"is {aws.vpcCidr}, a zone of it has {_usable(network.prefixlen)} addresses for {in_a_zone} nodes"
        yield ConfigProblem("aws.vpcCidr", reason, set_command("aws.vpcCidr", str(wider)))


def _usable(prefix: int) -> int:
    """Addresses of a quarter of a network; AWS reserves five of each subnet."""
    return int(2 ** (32 - prefix - 2)) - 5


def _size_of_existing(settings: StackSettings) -> Iterator[ConfigProblem]:
    """A default would scale the cache while it is imported."""
    if not settings.aws.existing:
        return
    if not settings.aws.nodeType:
        reason = "is required with aws.existing: the node type that the group has"
        yield ConfigProblem("aws.nodeType", reason, set_command("aws.nodeType", "cache.m7g.large"))
    sizes = {"single": (), "replicated": ("replicas",), "cluster": ("shards", "replicas")}
    for key in ("topology", *sizes.get(settings.topology, ())):
        if key not in settings.model_fields_set or getattr(settings, key) is None:
            reason = f"is required with aws.existing: the {key} that the group has"
            present = {
                "topology": settings.topology,
                "shards": settings.shard_count,
                "replicas": settings.replica_count,
            }
            yield ConfigProblem(key, reason, set_command(key, str(present[key])))


def _durability(settings: StackSettings) -> Iterator[ConfigProblem]:
    node = settings.aws.nodeType or getattr(smallest(settings.maxmemory), "name", "cache.r7g.large")
    is_on = settings.aws.durability != "disabled"
    obstacles = {
        "the topology isn't cluster": settings.topology != "cluster",
        f"the version is {settings.version}, older than 9.0": not settings.version.startswith("9."),
        "there are no replicas": is_on and not settings.replica_count,
        "multiZone is false": is_on and settings.aws.multiZone is False,
        f"the node type is {node}": is_on and node.split(".")[1] not in DURABLE_FAMILIES,
    }
    if reasons := [reason for reason, applies in obstacles.items() if applies]:
        reason = f"is {settings.aws.durability}, but {' and '.join(reasons)}"
        yield ConfigProblem("aws.durability", reason, remove_command("aws.durability"))


def _serverless(settings: StackSettings) -> Iterator[ConfigProblem]:
    aws = settings.aws
    if storage_gigabytes(settings) not in STORAGE_GIGABYTES:
        least, most = STORAGE_GIGABYTES[0], STORAGE_GIGABYTES[-1]
        reason = f"is {settings.memory}, a serverless cache stores {least}gb to {most}gb"
        yield ConfigProblem("memory", reason, set_command("memory", f"{most}gb"))
    elif (reserved := min_storage_gigabytes(settings)) and reserved > storage_gigabytes(settings):
        reason = f"is {aws.minMemory}, more than memory, which is {settings.memory}"
        yield ConfigProblem("aws.minMemory", reason, set_command("aws.minMemory", f"{storage_gigabytes(settings)}gb"))
    if aws.minEcpu and aws.maxEcpu and aws.minEcpu > aws.maxEcpu:
        reason = f"is {aws.minEcpu}, more than aws.maxEcpu, which is {aws.maxEcpu}"
        yield ConfigProblem("aws.minEcpu", reason, set_command("aws.minEcpu", str(aws.maxEcpu)))
    if settings.port not in (0, 6379):
        reason = f"is {settings.port}, a serverless cache always uses 6379"
        yield ConfigProblem("port", reason, set_command("port", "0"))
    if settings.workload == "queue":
        reason = "is queue, but a serverless cache evicts keys that have a TTL"
        yield ConfigProblem("workload", reason, set_command("workload", "mixed"))
    present = [key for key in ("nodeType", "subnetGroup", "durability", "existing") if getattr(aws, key)]
    present += sorted(_OF_NODES & _configured(settings))
    for key in present:
        yield ConfigProblem(f"aws.{key}", "is not supported by a serverless cache", remove_command(f"aws.{key}"))
    if aws.subnetIds and len(aws.subnetIds) not in (2, 3):
        reason = f"lists {len(aws.subnetIds)}, a serverless cache needs 2 or 3"
        fitting = ",".join((*aws.subnetIds, "subnet-0a1b")[:3])
        yield ConfigProblem("aws.subnetIds", reason, set_command("aws.subnetIds", fitting))


def _configured(settings: StackSettings) -> set[str]:
    """The keys that the operator set; a default contradicts nothing."""
    return {name for name in settings.aws.model_fields_set if getattr(settings.aws, name) is not None}
