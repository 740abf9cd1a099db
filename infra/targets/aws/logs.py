"""Slow logs and engine logs, in CloudWatch or on the way to a Firehose stream."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_aws.cloudwatch.log_group import LogGroup

from infra.targets.context import Context

KINDS = ("slow-log", "engine-log")


def create_log_deliveries(context: Context) -> list[Any]:
    """The delivery configurations for the replication group, with a log group for each kind in CloudWatch."""
    stream, log_format = context.settings.aws.logFirehose, context.settings.aws.logFormat
    return [
        {
            "destination": stream or _create_log_group(context, kind),
            "destination_type": "kinesis-firehose" if stream else "cloudwatch-logs",
            "log_format": log_format,
            "log_type": kind,
        }
        for kind in KINDS
    ]


def _create_log_group(context: Context, kind: str) -> pulumi.Output[str]:
    group = LogGroup(
        context.resource(kind),
        name=f"/aws/elasticache/{context.name}/{kind}",
        retention_in_days=context.settings.aws.logDays,
        kms_key_id=context.inputs.of("aws.logKmsKey") if context.settings.aws.logKmsKey else None,
        tags=context.tags,
        opts=context.options(),
    )
    name: pulumi.Output[str] = group.name
    return name
