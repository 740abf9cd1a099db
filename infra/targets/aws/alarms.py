"""CloudWatch alarms with thresholds for the node type and the workload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi_aws.cloudwatch.metric_alarm import MetricAlarm
from pulumi_aws.sns.topic import Topic
from pulumi_aws.sns.topic_subscription import TopicSubscription

from infra.settings import StackSettings
from infra.settings.aws.node_types import ALARM_PERCENT, CacheNodeType
from infra.settings.aws.sizing import storage_gigabytes
from infra.targets.context import Context

NAMESPACE = "AWS/ElastiCache"

NODE_DIMENSION = "CacheClusterId"
SERVERLESS_DIMENSION = "clusterId"

MAX_METRICS_PER_ALARM = 10
"""CloudWatch's limit."""

_MEBIBYTE = 1024**2


@dataclass(frozen=True)
class AlarmRule:
    """An alarm: a statistic of a metric is above or below a threshold for some minutes.

    above: another metric of the same node, which the first one exceeds; the threshold is then 0.
    missing: how to treat missing data; counters of failures send none while there are no failures.
    """

    metric: str
    threshold: float
    reason: str
    statistic: Literal["Average", "Maximum", "Minimum", "Sum"] = "Maximum"
    below: bool = False
    minutes: int = 5
    above: str = ""
    missing: Literal["missing", "notBreaching"] = "missing"


@dataclass(frozen=True)
class WatchedCache:
    """What CloudWatch knows a cache by.

    dimension: of its metrics. names: the values, which are known when the cache is. count: how many they are.
    """

    dimension: str
    names: pulumi.Output[Sequence[str]]
    count: int


def rules_of_nodes(settings: StackSettings, node: CacheNodeType) -> Iterator[AlarmRule]:
    """For a replication group, from AWS's "Which metrics should I monitor?"."""
    if node.cpus <= 2:
        # The engine has one thread: it is busy when one virtual CPU is.
        yield AlarmRule("CPUUtilization", 90 / node.cpus, "the engine's CPU is busy", "Average")
    else:
        yield AlarmRule("EngineCPUUtilization", 90, "the engine's CPU is busy", "Average")
    if node.is_burstable:
        yield AlarmRule("CPUCreditBalance", 1, "CPU credits are used up", "Minimum", below=True, minutes=15)
    yield AlarmRule("FreeableMemory", _least_free(node), "the node is low on memory", "Minimum", below=True)
    yield AlarmRule("SwapUsage", 0, "the node swaps more than it has free memory", above="FreeableMemory")
    yield AlarmRule("CurrConnections", node.max_connections * 80 // 100, "connections are close to the limit")
    yield AlarmRule("TrafficManagementActive", 0, "the service throttles traffic to keep the node responsive")
    if settings.workload != "cache":  # a full cache is healthy
        # A node with data tiering fills its memory before its SSD.
        usage = "DatabaseCapacityUsagePercentage" if node.tiers_data else "DatabaseMemoryUsagePercentage"
        yield AlarmRule(usage, ALARM_PERCENT, "memory is nearly full, and writes will be rejected")
        yield AlarmRule("Evictions", 0, "keys are evicted that must not be", "Sum", missing="notBreaching")
    if settings.replica_count:
        yield AlarmRule("ReplicationLag", 10, "a replica is 10 s behind; a failover would lose these writes")
    if settings.aws.durability == "async":
        yield AlarmRule("DurabilityLag", 5_000, "the durable log is 5 s behind; writes are rejected at 10 s")
        yield AlarmRule(
            "DurabilityBufferExceededErrorCount",
            0,
            "writes are rejected: the durable log is 10 s behind",
            "Sum",
            missing="notBreaching",
        )
    yield from _rejections(settings)


def rules_of_serverless(settings: StackSettings) -> Iterator[AlarmRule]:
    """For a serverless cache, against its own limits."""
    yield AlarmRule("ThrottledCmds", 0, "commands are throttled: a limit is reached", "Sum", missing="notBreaching")
    yield AlarmRule(
        "BytesUsedForCache",
        storage_gigabytes(settings) * 1024**3 * ALARM_PERCENT // 100,
        "storage is close to its limit",
    )
    if settings.aws.maxEcpu:
        per_minute = settings.aws.maxEcpu * 60
        yield AlarmRule(
            "ElastiCacheProcessingUnits", per_minute * ALARM_PERCENT // 100, "ECPU is close to its limit", "Sum"
        )
    yield from _rejections(settings)


def _rejections(settings: StackSettings) -> Iterator[AlarmRule]:
    for metric, reason, applies in (
        ("AuthenticationFailures", "logins are rejected: a client has a previous password, or an attack", True),
        ("KeyAuthorizationFailures", "a user accesses keys without permission", True),
        ("CommandAuthorizationFailures", "a user runs commands without permission", True),
        ("ChannelAuthorizationFailures", "a user accesses channels without permission", True),
        ("DatabaseAuthorizationFailures", "a user accesses databases without permission", settings.version == "9.1"),
        ("IamAuthenticationThrottling", "IAM logins are throttled: clients connect too often", _uses_iam(settings)),
    ):
        if not applies:
            continue
        yield AlarmRule(metric, 0, reason, "Sum", missing="notBreaching")


def create_topic(context: Context) -> pulumi.Output[str]:
    """The SNS topic of alarms and service events: the existing one, or a new one with its subscriptions."""
    aws = context.settings.aws
    if aws.topicArn:
        return pulumi.Output.from_input(context.inputs.of("aws.topicArn"))
    topic = Topic(
        context.resource("alarms"),
        name=f"{context.name}-alarms",
        kms_master_key_id=context.inputs.of("aws.topicKmsKey") if aws.topicKmsKey else None,
        tags=context.tags,
        opts=context.options(),
    )
    for address in dict.fromkeys(aws.alertEmails):
        TopicSubscription(
            context.resource(f"alarms-{address}"),
            topic=topic.arn,
            protocol="email",
            endpoint=address,
            opts=context.options(),
        )
    arn: pulumi.Output[str] = topic.arn
    return arn


def create_alarms(
    context: Context, rules: Sequence[AlarmRule], cache: WatchedCache, topic_arn: pulumi.Output[str]
) -> None:
    """An alarm for each rule; if an alarm cannot evaluate the metrics of all nodes, several."""
    for rule in rules:
        size = MAX_METRICS_PER_ALARM // (2 if rule.above else 1)
        starts = range(0, cache.count, size)
        for number, start in enumerate(starts, 1):
            ending = f"-{number}" if len(starts) > 1 else ""
            part = slice(start, start + size)
            _create_alarm(f"{rule.metric}{ending}", context, rule, cache, part=part, topic_arn=topic_arn)


def _create_alarm(
    name: str, context: Context, rule: AlarmRule, cache: WatchedCache, *, part: slice, topic_arn: pulumi.Output[str]
) -> None:
    def describe(names: Sequence[str]) -> str:
        return f"{rule.reason} ({rule.metric}, {', '.join(names[part])})"

    MetricAlarm(
        context.resource(name),
        name=f"{context.name}-{name}",
        alarm_description=cache.names.apply(describe),
        comparison_operator="LessThanThreshold" if rule.below else "GreaterThanThreshold",
        threshold=context.settings.aws.alarmThresholds.get(rule.metric, rule.threshold),
        evaluation_periods=rule.minutes if rule.statistic != "Sum" else 1,
        treat_missing_data=rule.missing,
        metric_queries=cache.names.apply(lambda names: queries(rule, cache.dimension, names[part])),
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        tags=context.tags,
        opts=context.options(),
    )


def queries(rule: AlarmRule, dimension: str, names: Sequence[str]) -> list[Any]:
    """The metrics of each node, and the worst value, which the alarm evaluates."""
    metrics = {"m": rule.metric} | ({"a": rule.above} if rule.above else {})
    each: list[Any] = [
        {
            "id": f"{letter}{number}",
            "metric": {
                "namespace": NAMESPACE,
                "metric_name": metric,
                "dimensions": {dimension: name},
                "stat": rule.statistic,
                "period": 60,
            },
            "return_data": False,
        }
        for number, name in enumerate(names)
        for letter, metric in metrics.items()
    ]
    if rule.above:
        expression = " OR ".join(f"(m{number} > a{number})" for number in range(len(names)))
    else:
        expression = f"{'MIN' if rule.below else 'MAX'}(METRICS())"
    return [*each, {"id": "worst", "expression": expression, "label": rule.metric, "return_data": True}]


def _uses_iam(settings: StackSettings) -> bool:
    return settings.aws.auth == "iam"


def _least_free(node: CacheNodeType) -> int:
    """100 MB, or a twentieth of the memory of a smaller node."""
    return min(100 * _MEBIBYTE, node.memory // 20)
