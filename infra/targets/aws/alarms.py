"""Alarms on what ElastiCache measures, with thresholds that follow from the node type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi_aws.cloudwatch.metric_alarm import MetricAlarm
from pulumi_aws.sns.topic import Topic
from pulumi_aws.sns.topic_subscription import TopicSubscription

from infra.settings import Settings
from infra.settings.aws.nodes import FULL_PERCENT, NodeType
from infra.settings.aws.rules import gigabytes
from infra.targets.aws.context import Context

NAMESPACE = "AWS/ElastiCache"

SERVERLESS_DIMENSIONS = ("clusterId", "ServerlessCacheName")
"""AWS's documentation isn't clear which one it is; an alarm looks at both, and one without data doesn't count."""

METRICS_OF_AN_ALARM = 10
"""CloudWatch's limit."""

_MEBIBYTE = 1024**2
_MAXIMUM_CONNECTIONS = 65_000
"""Of a node; ElastiCache fixes it."""


@dataclass(frozen=True)
class Rule:
    """An alarm in words: this statistic of this metric beyond this threshold for so many minutes.

    missing: what no data means; counters of failures send none while there are none.
    """

    metric: str
    threshold: float
    why: str
    statistic: Literal["Average", "Maximum", "Minimum", "Sum"] = "Maximum"
    below: bool = False
    minutes: int = 5
    missing: Literal["missing", "notBreaching"] = "missing"


Dimension = tuple[str, str]


def rules_of_nodes(settings: Settings, node: NodeType) -> Iterator[Rule]:
    """For a replication group; AWS's advice in "Which metrics should I monitor?", by node type and workload."""
    if node.cpus <= 2:
        # The engine is one thread: it is busy when one of the virtual CPUs is.
        yield Rule("CPUUtilization", 90 / node.cpus, "the engine's CPU is busy", "Average")
    else:
        yield Rule("EngineCPUUtilization", 90, "the engine's CPU is busy", "Average")
    yield Rule("FreeableMemory", _least_free(node), "the machine is short of memory", "Minimum", below=True)
    yield Rule("SwapUsage", 50 * _MEBIBYTE, "the machine swaps")
    yield Rule("CurrConnections", _MAXIMUM_CONNECTIONS * 80 // 100, "most of the possible connections are open")
    if settings.workload != "cache":  # a cache is full when all is well
        yield Rule("DatabaseMemoryUsagePercentage", FULL_PERCENT, "memory runs out, and writes will be refused")
        yield Rule("Evictions", 0, "keys are evicted that were to stay", "Sum", missing="notBreaching")
    if settings.replica_count:
        yield Rule("ReplicationLag", 10, "a replica is 10 s behind: a failover would lose that much")
    yield from _refusals()


def rules_of_serverless(settings: Settings) -> Iterator[Rule]:
    """For a serverless cache, against its own limits."""
    yield Rule("ThrottledCmds", 0, "commands wait: a limit is reached", "Sum", missing="notBreaching")
    yield Rule(
        "BytesUsedForCache", gigabytes(settings) * 1024**3 * FULL_PERCENT // 100, "the storage's limit comes near"
    )
    if settings.aws.maxEcpu:
        a_minute = settings.aws.maxEcpu * 60
        yield Rule("ElastiCacheProcessingUnits", a_minute * FULL_PERCENT // 100, "the limit of ECPU comes near", "Sum")
    yield from _refusals()


def _refusals() -> Iterator[Rule]:
    for metric, why in (
        ("AuthenticationFailures", "logins are refused: a client has an old password, or somebody tries"),
        ("KeyAuthorizationFailures", "a user reaches for keys that aren't its own"),
        ("CommandAuthorizationFailures", "a user runs commands that aren't allowed to it"),
    ):
        yield Rule(metric, 0, why, "Sum", missing="notBreaching")


def topic(context: Context) -> pulumi.Output[str]:
    """Where alarms and the service's events go, with a subscription for each address."""
    made = Topic("alarms", name=f"{context.name}-alarms", tags=context.tags, opts=context.options())
    for address in dict.fromkeys(context.settings.aws.alarmEmails):
        TopicSubscription(
            f"alarms-{address}", topic=made.arn, protocol="email", endpoint=address, opts=context.options()
        )
    arn: pulumi.Output[str] = made.arn
    return arn


def make(
    context: Context, rules: Sequence[Rule], dimensions: Sequence[Dimension], topic_arn: pulumi.Output[str]
) -> None:
    """An alarm a rule; where there are more nodes than an alarm can watch, one for each ten."""
    groups = [
        dimensions[start : start + METRICS_OF_AN_ALARM] for start in range(0, len(dimensions), METRICS_OF_AN_ALARM)
    ]
    for rule in rules:
        for number, watched in enumerate(groups, 1):
            ending = f"-{number}" if len(groups) > 1 else ""
            MetricAlarm(
                f"{rule.metric}{ending}",
                name=f"{context.name}-{rule.metric}{ending}",
                alarm_description=f"{rule.why} ({rule.metric}, {', '.join(name for _, name in watched)})",
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


def queries(rule: Rule, watched: Sequence[Dimension]) -> list[Any]:
    """The metric of each node, and the worst of them, which is what the alarm looks at."""
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


def _least_free(node: NodeType) -> int:
    """100 MB, or a twentieth of a node that is too small for that."""
    return min(100 * _MEBIBYTE, node.memory // 20)
