"""The serverless cache: without nodes and parameters; it scales with use up to its limits."""

from __future__ import annotations

from typing import Any

from pulumi_aws.elasticache.serverless_cache import ServerlessCache

from infra.settings import StackSettings
from infra.settings.aws.sizing import min_storage_gigabytes, storage_gigabytes
from infra.targets.aws.elasticache import CacheDependencies, ManagedCache, backup_days, cache_options, to_node
from infra.targets.context import Context

NOTES = (
    "a serverless cache has no parameter group: it evicts keys that have a TTL, for any workload",
    "a serverless cache leaves no final snapshot, and AWS deletes its daily backups with it",
    "before `pulumi destroy`, create a snapshot: `aws elasticache create-serverless-cache-snapshot`",
)
"""Shown to the operator."""


def arguments(settings: StackSettings) -> dict[str, Any]:
    """The arguments that depend on the settings alone, with the SDK's names."""
    storage = _limits(min_storage_gigabytes(settings), storage_gigabytes(settings))
    ecpu = _limits(settings.aws.minEcpu, settings.aws.maxEcpu)
    return {
        "description": f"Valkey, {settings.workload}, serverless",
        "engine": "valkey",
        "major_engine_version": settings.version.partition(".")[0],
        "cache_usage_limits": {
            "data_storage": {"unit": "GB", **storage},
            **({"ecpu_per_seconds": [ecpu]} if ecpu else {}),
        },
        "snapshot_retention_limit": backup_days(settings),
        "daily_snapshot_time": settings.aws.backupWindow.partition("-")[0],
        **({"snapshot_arns_to_restores": [settings.restoreFrom]} if settings.restoreFrom else {}),
    }


def _limits(minimum: int | None, maximum: int | None) -> dict[str, int]:
    """Those that are set."""
    return {name: limit for name, limit in (("minimum", minimum), ("maximum", maximum)) if limit is not None}


def create_serverless_cache(context: Context, deps: CacheDependencies) -> ManagedCache:
    """The cache, protected against replacement."""
    cache = ServerlessCache(
        context.resource("cache"),
        name=context.name,
        **arguments(context.settings),
        kms_key_id=deps.key,
        subnet_ids=deps.network.subnet_ids,
        security_group_ids=deps.network.security_groups,
        user_group_id=deps.access.group,
        tags=context.tags,
        opts=context.options(cache_options(context), holds_data=True),
    )
    return ManagedCache(
        name=context.name,
        arn=cache.arn,
        nodes=cache.endpoints.apply(lambda endpoints: [to_node(endpoints[0].address, endpoints[0].port)]),
        version=cache.full_engine_version,
        maxmemory=storage_gigabytes(context.settings) * 1024**3,
    )
