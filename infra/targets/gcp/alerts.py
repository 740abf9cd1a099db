"""Alerts on what Memorystore measures, and who gets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi_gcp.monitoring.alert_policy import AlertPolicy
from pulumi_gcp.monitoring.notification_channel import NotificationChannel

from infra.settings import Settings
from infra.settings.gcp.nodes import FULL_PERCENT
from infra.targets.context import Context
from infra.targets.gcp.metrics import selection

_MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Rule:
    """An alert in words: this metric beyond this threshold for so many minutes.

    aligner: how a minute's points become one; a count is summed up.
    """

    name: str
    metric: str
    threshold: float
    why: str
    aligner: Literal["ALIGN_MAX", "ALIGN_MIN", "ALIGN_DELTA"] = "ALIGN_MAX"
    below: bool = False
    minutes: int = 5


def rules(settings: Settings) -> Iterator[Rule]:
    """A cache that is full evicts, and that is no alarm."""
    yield Rule("cpu", "cpu/maximum_utilization", 0.8, "a node's CPU is busy: the engine is one thread")
    yield Rule(
        "rejected-connections",
        "stats/total_rejected_connections_count",
        0,
        "connections are refused: a node has as many as it takes",
        "ALIGN_DELTA",
        minutes=0,
    )
    yield Rule("backup", "backup/last_backup_status", 1, "the last backup failed", "ALIGN_MIN", below=True, minutes=0)
    if settings.workload != "cache":
        limit = FULL_PERCENT / 100
        yield Rule("memory", "memory/maximum_utilization", limit, "memory runs out, and writes will be refused")
        yield Rule(
            "evictions",
            "stats/total_evicted_keys_count",
            0,
            "keys are evicted that were to stay",
            "ALIGN_DELTA",
            minutes=0,
        )
    if settings.replica_count:
        yield Rule(
            "replication",
            "replication/maximum_offset_diff",
            64 * _MEBIBYTE,
            "a replica is 64 MB behind: a failover would lose that much",
        )


def channels(context: Context) -> list[pulumi.Input[str]]:
    """Where alerts go: the addresses, and channels that exist already."""
    gcp = context.settings.gcp
    made = [
        NotificationChannel(
            f"alerts-{address}",
            type="email",
            display_name=f"{context.name}: {address}",
            labels={"email_address": address},
            user_labels=context.tags,
            project=gcp.project,
            opts=context.options(),
        )
        for address in gcp.alertEmails
    ]
    return [*(channel.name for channel in made), *gcp.alertChannels]


def make(context: Context, notified: Sequence[pulumi.Input[str]]) -> None:
    for rule in rules(context.settings):
        AlertPolicy(
            f"alert-{rule.name}",
            display_name=f"{context.name}: {rule.name}",
            combiner="OR",
            conditions=[condition(context, rule)],
            documentation={"content": f"{context.name}: {rule.why} ({rule.metric}).", "mime_type": "text/markdown"},
            notification_channels=notified,
            user_labels=context.tags,
            project=context.settings.gcp.project,
            opts=context.options(),
        )


def condition(context: Context, rule: Rule) -> Any:
    return {
        "display_name": rule.why,
        "condition_threshold": {
            "filter": selection(context, rule.metric),
            "comparison": "COMPARISON_LT" if rule.below else "COMPARISON_GT",
            "threshold_value": rule.threshold,
            "duration": f"{rule.minutes * 60}s",
            "aggregations": [{"alignment_period": "60s", "per_series_aligner": rule.aligner}],
        },
    }
