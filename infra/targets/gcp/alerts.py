"""Alert policies and notification channels in Cloud Monitoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi_gcp.monitoring.alert_policy import AlertPolicy
from pulumi_gcp.monitoring.notification_channel import NotificationChannel

from infra.settings import StackSettings
from infra.settings.gcp.node_types import ALERT_PERCENT
from infra.settings.gcp.persistence import backup_days
from infra.targets.context import Context
from infra.targets.gcp import names

_MEBIBYTE = 1024**2

RESOURCE = "memorystore.googleapis.com/Instance"
METRICS = "memorystore.googleapis.com/instance"


@dataclass(frozen=True)
class AlertRule:
    """An alert: a metric is above or below a threshold for some minutes.

    aligner: how the points of a minute are combined; counts are added up.
    """

    name: str
    metric: str
    threshold: float
    reason: str
    aligner: Literal["ALIGN_MAX", "ALIGN_MIN", "ALIGN_DELTA"] = "ALIGN_MAX"
    below: bool = False
    minutes: int = 5


def rules(settings: StackSettings) -> Iterator[AlertRule]:
    """The alerts for a workload; a full cache is healthy."""
    yield AlertRule("cpu", "cpu/maximum_utilization", 0.8, "a node's CPU is busy; the engine has one thread")
    yield AlertRule(
        "rejected-connections",
        "stats/total_rejected_connections_count",
        0,
        "connections are rejected: a node is at its limit",
        "ALIGN_DELTA",
        minutes=0,
    )
    if backup_days(settings):
        yield AlertRule(
            "backup", "backup/last_backup_status", 1, "the last backup failed", "ALIGN_MIN", below=True, minutes=0
        )
    if settings.workload != "cache":
        limit = ALERT_PERCENT / 100
        yield AlertRule(
            "memory", "memory/maximum_utilization", limit, "memory is nearly full, and writes will be rejected"
        )
        yield AlertRule(
            "evictions",
            "stats/total_evicted_keys_count",
            0,
            "keys are evicted that must not be",
            "ALIGN_DELTA",
            minutes=0,
        )
    if settings.replica_count:
        yield AlertRule(
            "replication",
            "replication/maximum_offset_diff",
            64 * _MEBIBYTE,
            "a replica is 64 MB behind; a failover would lose these writes",
        )


def create_channels(context: Context) -> list[pulumi.Input[str]]:
    """A channel for each address, in addition to the existing channels."""
    gcp = context.settings.gcp
    created = [
        NotificationChannel(
            context.resource(f"alerts-{address}"),
            type="email",
            display_name=f"{context.name}: {address}",
            labels={"email_address": address},
            user_labels=context.tags,
            project=gcp.project,
            opts=context.options(),
        )
        for address in gcp.alertEmails
    ]
    return [*(channel.name for channel in created), *gcp.alertChannels]


def create_alerts(context: Context, channels: Sequence[pulumi.Input[str]]) -> None:
    for rule in rules(context.settings):
        AlertPolicy(
            context.resource(f"alert-{rule.name}"),
            display_name=f"{context.name}: {rule.name}",
            combiner="OR",
            conditions=[condition(context, rule)],
            documentation={"content": f"{context.name}: {rule.reason} ({rule.metric}).", "mime_type": "text/markdown"},
            notification_channels=channels,
            user_labels=context.tags,
            project=context.settings.gcp.project,
            opts=context.options(),
        )


def metric_filter(context: Context, metric: str) -> str:
    """A filter for one metric of this instance, whose label is the bare id or the full name."""
    return " AND ".join(
        [
            f'resource.type = "{RESOURCE}"',
            f'resource.labels.location = "{context.settings.gcp.location}"',
            f'resource.labels.instance_id = monitoring.regex.full_match("(.*/)?{names.instance_id(context)}")',
            f'metric.type = "{METRICS}/{metric}"',
        ]
    )


def condition(context: Context, rule: AlertRule) -> Any:
    return {
        "display_name": rule.reason,
        "condition_threshold": {
            "filter": metric_filter(context, rule.metric),
            "comparison": "COMPARISON_LT" if rule.below else "COMPARISON_GT",
            "threshold_value": rule.threshold,
            "duration": f"{rule.minutes * 60}s",
            "aggregations": [{"alignment_period": "60s", "per_series_aligner": rule.aligner}],
        },
    }
