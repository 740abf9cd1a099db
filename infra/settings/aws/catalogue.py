"""ElastiCache's regions, versions and limits."""

from __future__ import annotations

REGIONS = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1"),
    *("ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5"),
    *("ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1"),
    *("eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1"),
    *("me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    "eusc-de-east-1",
    *("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"),
)
"""From botocore's endpoints for ElastiCache; a test compares them."""


def partition(region: str) -> str:
    """The part of AWS that a region belongs to, as in its ARNs."""
    return next((f"aws-{name}" for name in ("cn", "us-gov", "eusc") if region.startswith(f"{name}-")), "aws")


FAMILIES = {"7.2": "valkey7", "8.0": "valkey8", "8.1": "valkey8", "8.2": "valkey8", "9.0": "valkey9", "9.1": "valkey9"}
"""The parameter group family of each Valkey version (ElastiCache User Guide, "Supported engines and versions")."""

LOG_RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""Retention periods that CloudWatch Logs accepts (PutRetentionPolicy)."""

NODE_QUOTA = 90
"""Nodes of one cluster, by default."""

MAX_NODE_QUOTA = 500
"""To which AWS raises the quota on request."""

MIN_ECPU, MAX_ECPU = 1_000, 15_000_000
"""The lowest and the highest limit of a serverless cache in ECPU per second (CreateServerlessCache)."""

ADJUSTABLE_METRICS = frozenset(
    (
        *("AuthenticationFailures", "BytesUsedForCache", "CPUCreditBalance", "CPUUtilization"),
        *("ChannelAuthorizationFailures", "CommandAuthorizationFailures", "CurrConnections"),
        *("DatabaseAuthorizationFailures", "DatabaseCapacityUsagePercentage", "DatabaseMemoryUsagePercentage"),
        *("DurabilityLag", "ElastiCacheProcessingUnits", "EngineCPUUtilization", "Evictions", "FreeableMemory"),
        *("KeyAuthorizationFailures", "ReplicationLag", "ThrottledCmds"),
    )
)
"""Metrics of CloudWatch whose alarms can have another threshold."""
