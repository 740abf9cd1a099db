"""A serverless cache: no nodes, no parameters, it grows with its use up to its limits."""

from __future__ import annotations

from typing import Any

from pulumi_aws.elasticache.serverless_cache import ServerlessCache

from infra.settings import Settings
from infra.settings.aws.rules import gigabytes
from infra.targets.aws.cache import Cache, Surroundings, backup_days, kept, node
from infra.targets.aws.context import Context

NOTES = (
    "a serverless cache has no parameter group: it evicts keys that have a TTL, whatever the workload says",
    "a serverless cache leaves no final snapshot when it is destroyed: its daily backups stay as long as they would",
)
"""What the operator is told."""


def arguments(settings: Settings) -> dict[str, Any]:
    """What follows from the settings alone, by the SDK's names."""
    ecpu = settings.aws.maxEcpu
    limits: dict[str, Any] = {"data_storage": {"unit": "GB", "maximum": gigabytes(settings)}}
    return {
        "description": f"Valkey {settings.version}, {settings.workload}, serverless",
        "engine": "valkey",
        "major_engine_version": settings.version.partition(".")[0],
        "cache_usage_limits": limits | ({"ecpu_per_seconds": [{"maximum": ecpu}]} if ecpu else {}),
        "snapshot_retention_limit": backup_days(settings),
        "daily_snapshot_time": settings.aws.backupWindow.partition("-")[0],
        **({"snapshot_arns_to_restores": [settings.restoreFrom]} if settings.restoreFrom else {}),
    }


def make(context: Context, around: Surroundings) -> Cache:
    """The cache, kept from being replaced."""
    cache = ServerlessCache(
        "cache",
        name=context.name,
        **arguments(context.settings),
        kms_key_id=around.key,
        subnet_ids=around.network.subnet_ids,
        security_group_ids=[around.network.servers],
        user_group_id=around.access.group,
        tags=context.tags,
        opts=context.options(kept(context), holds_data=True),
    )
    return Cache(
        name=context.name,
        arn=cache.arn,
        nodes=cache.endpoints.apply(lambda found: [node(found[0].address, found[0].port)]),
        version=cache.full_engine_version,
        maxmemory=gigabytes(context.settings) * 1024**3,
    )
