"""Slow logs and engine logs in CloudWatch."""

from __future__ import annotations

from typing import Any

from pulumi_aws.cloudwatch.log_group import LogGroup

from infra.targets.context import Context

KINDS = ("slow-log", "engine-log")


def create_log_groups(context: Context) -> list[Any]:
    """A log group for each kind; returns the delivery configurations for the replication group."""
    groups = {
        kind: LogGroup(
            context.resource(kind),
            name=f"/aws/elasticache/{context.name}/{kind}",
            retention_in_days=context.settings.aws.logDays,
            kms_key_id=context.inputs.of("aws.logKmsKey") if context.settings.aws.logKmsKey else None,
            tags=context.tags,
            opts=context.options(),
        )
        for kind in KINDS
    }
    return [
        {
            "destination": group.name,
            "destination_type": "cloudwatch-logs",
            "log_format": "json",
            "log_type": kind,
        }
        for kind, group in groups.items()
    ]
