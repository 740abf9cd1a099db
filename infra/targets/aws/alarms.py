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
from infra.settings.aws.nodes import ALARM_PERCENT, CacheNodeType
from infra.settings.aws.sizing import storage_gigabytes
from infra.targets.context import Context

NAMESPACE = "AWS/ElastiCache"

SERVERLESS_DIMENSIONS = ("clusterId", "ServerlessCacheName")
"""AWS's documentation doesn't say which one applies; an alarm uses both and ignores the one without data."""

MAX_METRICS_PER_ALARM = 10
"""CloudWatch's limit."""

_MEBIBYTE = 1024**2
_MAX_CONNECTIONS = 65_000
"""Of a node; ElastiCache does not let it be changed."""


@dataclass(frozen=True)
class AlarmRule:
    """An alarm: a statistic of a metric is above or below a threshold for some minutes.

    missing: how to treat missing data; counters of failures send none while there are no failures.
    """

    metric: str
    threshold: float
    reason: str
    statistic: Literal["Average", "Maximum", "Minimum", "Sum"] = "Maximum"
    below: bool = False
    minutes: int = 5
    missing: Literal["missing", "notBreaching"] = "missing"


Dimension = tuple[str, str]


def rules_of_nodes(settings: StackSettings, node: CacheNodeType) -> Iterator[AlarmRule]:
    """For a replication group, from AWS's "Which metrics should I monitor?"."""
    if node.cpus <= 2:
        # The engine has one thread: it is busy when one virtual CPU is.
        yield AlarmRule("CPUUtilization", 90 / node.cpus, "the engine's CPU is busy", "Average")
    else:
        yield AlarmRule("EngineCPUUtilization", 90, "the engine's CPU is busy", "Average")
    yield AlarmRule("FreeableMemory", _least_free(node), "the node is low on memory", "Minimum", below=True)
    yield AlarmRule("SwapUsage", 50 * _MEBIBYTE, "the node is swapping")
    yield AlarmRule("CurrConnections", _MAX_CONNECTIONS * 80 // 100, "connections are close to the limit")
    if settings.workload != "cache":  # a full cache is healthy
        yield AlarmRule(
            "DatabaseMemoryUsagePercentage", ALARM_PERCENT, "memory is nearly full, and writes will be rejected"
        )
        yield AlarmRule("Evictions", 0, "keys are evicted that must not be", "Sum", missing="notBreaching")
    if settings.replica_count:
        yield AlarmRule("ReplicationLag", 10, "a replica is 10 s behind; a failover would lose these writes")
    yield from _rejections()


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
    yield from _rejections()


def _rejections() -> Iterator[AlarmRule]:
    for metric, reason in (
        ("AuthenticationFailures", "logins are rejected: a client has a previous password, or an attack"),
        ("KeyAuthorizationFailures", "a user accesses keys without permission"),
        ("CommandAuthorizationFailures", "a user runs commands without permission"),
    ):
        yield AlarmRule(metric, 0, reason, "Sum", missing="notBreaching")


def create_topic(context: Context) -> pulumi.Output[str]:
    """The SNS topic of alarms and service events, with a subscription for each address."""
    topic = Topic("alarms", name=f"{context.name}-alarms", tags=context.tags, opts=context.options())
    for address in dict.fromkeys(context.settings.aws.alertEmails):
        TopicSubscription(
            f"alarms-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=context.options()
        )
    arn: pulumi.Output[str] = topic.arn
    return arn


def create_alarms(
    context: Context, rules: Sequence[AlarmRule], dimensions: Sequence[Dimension], topic_arn: pulumi.Output[str]
) -> None:
    """An alarm for each rule; if an alarm cannot cover all nodes, one for every ten."""
    groups = [
        dimensions[start : start + MAX_METRICS_PER_ALARM] for start in range(0, len(dimensions), MAX_METRICS_PER_ALARM)
    ]
    for rule in rules:
        for number, watched in enumerate(groups, 1):
            ending = f"-{number}" if len(groups) > 1 else ""
            MetricAlarm(
                f"{rule.metric}{ending}",
                name=f"{context.name}-{rule.metric}{ending}",
                alarm_description=f"{rule.reason} ({rule.metric}, {', '.join(name for _, name in watched)})",
                comparison_operator="LessThanThreshold" if rule.below else "GreaterThanThreshold",
                threshold=rule.threshold,
                evaluation_periods=rule.minutes if rule.statistic != "Sum" else 1,
                treat_missing_data=rule.missing,
                metric_queries=queries(rule, watched),
                alarm_actions=[topic_arn],
                ok_actions=[topic_arn],
                tags=context.tags,
                opts=context.options(),
            )


def queries(rule: AlarmRule, watched: Sequence[Dimension]) -> list[Any]:
    """The metric of each node, and the worst value, which the alarm evaluates."""
    each: list[Any] = [
        {
            "id": f"m{number}",
            "metric": {
                "namespace": NAMESPACE,
                "metric_name": rule.metric,
                "dimensions": {dimension: name},
                "stat": rule.statistic,
                "period": 60,
            },
            "return_data": False,
        }
        for number, (dimension, name) in enumerate(watched)
    ]
    worst = "MIN" if rule.below else "MAX"
    return [*each, {"id": "worst", "expression": f"{worst}(METRICS())", "label": rule.metric, "return_data": True}]


def _least_free(node: CacheNodeType) -> int:
    """100 MB, or a twentieth of the memory of a smaller node."""
    return min(100 * _MEBIBYTE, node.memory // 20)
