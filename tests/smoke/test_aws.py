"""The cache as AWS describes it. Needs boto3 and credentials that may describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("aws", "boto3")

ANYWHERE = ("0.0.0.0/0", "::/0")


@pytest.fixture
def stack(subject: Subject) -> Mapping[str, Any]:
    assert subject.aws is not None
    return subject.aws


@pytest.fixture
def cache(stack: Mapping[str, Any]) -> dict[str, Any]:
    return describe(stack)


def describe(stack: Mapping[str, Any]) -> dict[str, Any]:
    """The cache as ElastiCache describes it."""
    client = _client(stack, "elasticache")
    if stack["serverless"]:
        found = client.describe_serverless_caches(ServerlessCacheName=stack["cache"])["ServerlessCaches"]
    else:
        found = client.describe_replication_groups(ReplicationGroupId=stack["cache"])["ReplicationGroups"]
    description: dict[str, Any] = found[0]
    return description


def test_available(cache: dict[str, Any]) -> None:
    """AWS says that the cache is available."""
    assert cache["Status"] == "available", cache["Status"]


def test_encrypted(stack: Mapping[str, Any], cache: dict[str, Any]) -> None:
    """Connections and disks are encrypted."""
    if not stack["serverless"]:  # a serverless cache can't be without
        assert cache["TransitEncryptionMode"] == "required"
        assert cache["AtRestEncryptionEnabled"]


def test_users(stack: Mapping[str, Any], cache: dict[str, Any]) -> None:
    """Users log in by a group; there is no shared token."""
    assert cache.get("UserGroupId") or cache.get("UserGroupIds")
    assert not cache.get("AuthTokenEnabled"), f"{stack['cache']} still takes a token"


def test_backups(stack: Mapping[str, Any], cache: dict[str, Any]) -> None:
    """Daily backups are kept as long as configured."""
    assert cache["SnapshotRetentionLimit"] == stack["backupDays"]


def test_no_way_in(stack: Mapping[str, Any]) -> None:
    """Nobody gets in from everywhere."""
    described = _client(stack, "ec2").describe_security_groups(GroupIds=[stack["securityGroupId"]])
    permissions = described["SecurityGroups"][0]["IpPermissions"]
    open_to = {network["CidrIp"] for rule in permissions for network in rule["IpRanges"]}
    open_to |= {network["CidrIpv6"] for rule in permissions for network in rule["Ipv6Ranges"]}
    assert not open_to & set(ANYWHERE), f"open to {', '.join(sorted(open_to & set(ANYWHERE)))}"


def _client(stack: Mapping[str, Any], service: str) -> Any:
    import boto3

    return boto3.client(service, stack["region"])
