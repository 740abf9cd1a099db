"""The CloudWatch dashboard for a first look at slow responses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
from pulumi_aws.cloudwatch.dashboard import Dashboard

from infra.targets.aws.alarms import NAMESPACE, WatchedCache
from infra.targets.context import Context

NODE_GRAPHS = (
    ("Engine CPU, %", ("EngineCPUUtilization",)),
    ("Memory used, % of what data may take", ("DatabaseMemoryUsagePercentage",)),
    ("Hits and misses", ("CacheHits", "CacheMisses")),
    ("Connections", ("CurrConnections",)),
    ("Evictions", ("Evictions",)),
    ("Replication lag, s", ("ReplicationLag",)),
    ("Network, bytes", ("NetworkBytesIn", "NetworkBytesOut")),
    ("Rejected logins and commands", ("AuthenticationFailures", "CommandAuthorizationFailures")),
)
SERVERLESS_GRAPHS = (
    ("Storage, bytes", ("BytesUsedForCache",)),
    ("Compute, ECPU", ("ElastiCacheProcessingUnits",)),
    ("Hits and misses", ("CacheHits", "CacheMisses")),
    ("Connections", ("CurrConnections",)),
    ("Throttled commands", ("ThrottledCmds",)),
    ("Rejected logins and commands", ("AuthenticationFailures", "CommandAuthorizationFailures")),
)

_WIDTH, _HEIGHT = 12, 6
"""Of a graph, in grid units; the page is 24 wide."""


def body(region: str, dimension: str, names: Sequence[str], *, is_serverless: bool) -> str:
    """The dashboard as CloudWatch's JSON."""
    graphs = SERVERLESS_GRAPHS if is_serverless else NODE_GRAPHS
    widgets = [
        {
            "type": "metric",
            "x": _WIDTH * (position % 2),
            "y": _HEIGHT * (position // 2),
            "width": _WIDTH,
            "height": _HEIGHT,
            "properties": {
                "title": title,
                "region": region,
                "period": 60,
                "stat": "Average",
                "metrics": [[NAMESPACE, metric, dimension, name] for metric in metrics for name in names],
            },
        }
        for position, (title, metrics) in enumerate(graphs)
    ]
    return json.dumps({"widgets": widgets})


def create_dashboard(context: Context, cache: WatchedCache) -> pulumi.Output[str]:
    """The name of the dashboard."""
    settings = context.settings
    dashboard = Dashboard(
        context.resource("dashboard"),
        dashboard_name=context.name,
        dashboard_body=cache.names.apply(
            lambda names: body(
                settings.aws.region, cache.dimension, names, is_serverless=settings.topology == "serverless"
            )
        ),
        opts=context.options(),
    )
    name: pulumi.Output[str] = dashboard.dashboard_name
    return name
