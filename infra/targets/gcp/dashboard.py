"""The Cloud Monitoring dashboard for a first look at slow responses."""

from __future__ import annotations

import json

import pulumi
from pulumi_gcp.monitoring.dashboard import Dashboard

from infra.targets.context import Context
from infra.targets.gcp.alerts import metric_filter

GRAPHS = (
    ("CPU of the busiest node", "ALIGN_MAX", ("cpu/maximum_utilization",)),
    ("Memory of the fullest node", "ALIGN_MAX", ("memory/maximum_utilization",)),
    (
        "Hits and misses",
        "ALIGN_RATE",
        ("stats/total_keyspace_hits_count", "stats/total_keyspace_misses_count"),
    ),
    ("Connections", "ALIGN_MAX", ("clients/total_connected_clients",)),
    ("Rejected connections", "ALIGN_RATE", ("stats/total_rejected_connections_count",)),
    ("Evictions", "ALIGN_RATE", ("stats/total_evicted_keys_count",)),
    ("Replication: bytes behind", "ALIGN_MAX", ("replication/maximum_offset_diff",)),
    ("Bytes sent, a second", "ALIGN_RATE", ("stats/total_net_output_bytes_count",)),
)
"""Title, aligner and metrics of each graph."""

_COLUMNS, _WIDTH, _HEIGHT = 48, 24, 16
"""Of the page and of a graph, in grid units."""


def body(context: Context) -> str:
    """The dashboard as Cloud Monitoring's JSON."""
    tiles = [
        {
            **_place(position),
            "width": _WIDTH,
            "height": _HEIGHT,
            "widget": {
                "title": title,
                "xyChart": {"dataSets": [_series(context, metric, aligner) for metric in metrics]},
            },
        }
        for position, (title, aligner, metrics) in enumerate(GRAPHS)
    ]
    layout = {"columns": _COLUMNS, "tiles": tiles}
    return json.dumps({"displayName": context.name, "mosaicLayout": layout, "labels": {"valkey": ""}})


def create_dashboard(context: Context) -> pulumi.Output[str]:
    """The full name of the dashboard."""
    dashboard = Dashboard(
        context.resource("dashboard"),
        dashboard_json=body(context),
        project=context.settings.gcp.project,
        opts=context.options(),
    )
    name: pulumi.Output[str] = dashboard.id
    return name


def _place(position: int) -> dict[str, int]:
    """Without zeros: the API leaves them out of its responses, so each update would report a change."""
    place = {"xPos": _WIDTH * (position % 2), "yPos": _HEIGHT * (position // 2)}
    return {axis: units for axis, units in place.items() if units}


def _series(context: Context, metric: str, aligner: str) -> dict[str, object]:
    return {
        "plotType": "LINE",
        "timeSeriesQuery": {
            "timeSeriesFilter": {
                "filter": metric_filter(context, metric),
                "aggregation": {"alignmentPeriod": "60s", "perSeriesAligner": aligner},
            }
        },
    }
