"""An ElastiCache for Redis that exists already: imported and turned into Valkey in one update, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cloud.aws import service
from harness.cloud.aws.account import client
from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import Configuration
from harness.cloud.stack import CloudStack

REDIS: dict[str, Any] = {
    "replicationGroupId": "my-redis",
    "description": "made by hand years ago",
    "engine": "redis",
    "engineVersion": "7.1",
    "nodeType": "cache.t4g.small",
    "numCacheClusters": 2,
    "automaticFailoverEnabled": True,
    "multiAzEnabled": False,
    "clusterMode": "disabled",
    "dataTieringEnabled": False,
    "port": 6379,
    "parameterGroupName": "default.redis7",
    "subnetGroupName": "its-subnet-group",
    "atRestEncryptionEnabled": True,
    "transitEncryptionEnabled": True,
    "transitEncryptionMode": "required",
    "snapshotRetentionLimit": 1,
    "snapshotWindow": "03:00-04:00",
    "maintenanceWindow": "sun:05:00-sun:06:00",
}
"""As the provider reads it; moto itself keeps less of a group."""

WHAT_IT_IS: Configuration = MINIMAL | {
    "topology": "replicated",
    "replicas": "1",
    "version": "8.1",
    "aws.nodeType": "cache.t4g.small",
    "aws.multiZone": "false",
}
TAKEN_OVER: Configuration = WHAT_IT_IS | {"aws.existing": "my-redis", "aws.subnetGroup": "its-subnet-group"}


def make_redis(moto: str, existing: Path) -> None:
    """By hand, years ago."""
    cache, ec2 = client(moto, "elasticache"), client(moto, "ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    cache.create_cache_subnet_group(
        CacheSubnetGroupName="its-subnet-group", CacheSubnetGroupDescription="theirs", SubnetIds=subnets
    )
    cache.create_replication_group(
        ReplicationGroupId="my-redis",
        ReplicationGroupDescription="made by hand years ago",
        Engine="redis",
        EngineVersion="7.1",
        NumCacheClusters=2,
    )
    existing.write_text(json.dumps({"my-redis": REDIS}))


@pytest.fixture
def redis(moto: str, stack: CloudStack, existing: Path) -> CloudStack:
    """A stack whose account has that group."""
    make_redis(moto, existing)
    return stack


def test_a_redis_becomes_valkey_in_place_in_one_update(redis: CloudStack) -> None:
    redis.configure(TAKEN_OVER)
    preview = redis.preview()
    assert preview.succeeded, preview.said
    done = redis.up()
    assert done.succeeded, done.said
    taken = [step for step in done.steps if step.kind == service.GROUP]
    assert [step.operation for step in taken] == ["import", "update"]
    assert {"engine", "engineVersion"} <= taken[1].changed
    assert "authTokenUpdateStrategy" not in taken[1].changed, "without a token, AWS rejects it"
    (group,) = [resource for resource in redis.project.resources() if resource["type"] == service.GROUP]
    assert (group["id"], group["inputs"]["engine"], group["inputs"]["engineVersion"]) == ("my-redis", "valkey", "8.1")
    assert redis.up("--expect-no-changes").succeeded
    assert redis.outputs()["endpoint"]["nodes"][0]["host"].startswith("master.my-redis.")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"transitEncryptionEnabled": False}, "TLS and users cannot be enabled in the same update"),
        ({"engineVersion": "8.1"}, "redis can become valkey in place only together with a version upgrade"),
        ({"port": 6380}, "may not be replaced"),
        ({"transitEncryptionMode": "preferred"}, "clients may still connect without TLS"),
        ({"nodeType": "cache.r6g.xlarge"}, "pulumi config set --path aws.nodeType cache.r6g.xlarge"),
    ],
)
def test_what_would_replace_it_or_break_it_is_refused(
    redis: CloudStack, moto: str, existing: Path, found: dict[str, Any], reason: str
) -> None:
    existing.write_text(json.dumps({"my-redis": REDIS | found}))
    redis.configure(TAKEN_OVER)
    done = redis.up()
    assert not done.succeeded
    assert reason in done.said
    (group,) = client(moto, "elasticache").describe_replication_groups()["ReplicationGroups"]
    assert (group["ReplicationGroupId"], group["Status"]) == ("my-redis", "available")
