"""What Cloud Monitoring knows of an instance."""

from __future__ import annotations

from infra.targets.context import Context

RESOURCE = "memorystore.googleapis.com/Instance"
METRICS = "memorystore.googleapis.com/instance"


def selection(context: Context, metric: str) -> str:
    """A filter for one metric of this instance. Its label holds the bare id or the full name."""
    return " AND ".join(
        [
            f'resource.type = "{RESOURCE}"',
            f'resource.labels.location = "{context.settings.gcp.location}"',
            f'resource.labels.instance_id = monitoring.regex.full_match("(.*/)?{context.name}")',
            f'metric.type = "{METRICS}/{metric}"',
        ]
    )
