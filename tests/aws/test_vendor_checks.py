"""The smoke suite's queries to AWS, sent to moto: a good cache passes, a bad one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import redis
from valkeykit.url import parse

from harness.cloud.aws.account import client
from tests.smoke import test_aws as checks
from tests.smoke.subject import Subject


@pytest.fixture
def account(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where boto3 finds moto, and some keys."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    return moto


def made(moto: str, name: str, **options: Any) -> Mapping[str, Any]:
    """A group and a closed security group; returns the stack's output."""
    ec2 = client(moto, "ec2")
    group = ec2.create_security_group(GroupName=name, Description="test")["GroupId"]
    good = {
        "TransitEncryptionEnabled": True,
        "TransitEncryptionMode": "required",
        "AtRestEncryptionEnabled": True,
        "UserGroupIds": ["users"],
        "SnapshotRetentionLimit": 1,
    }
    client(moto, "elasticache").create_replication_group(
        ReplicationGroupId=name, ReplicationGroupDescription="test", **(good | options)
    )
    return {"region": "eu-central-1", "cache": name, "serverless": False, "securityGroupId": group, "backupDays": 1}


def test_a_good_cache_passes(account: str) -> None:
    stack = made(account, "good")
    cache = checks.describe(stack)
    checks.test_available(cache)
    checks.test_encrypted(stack, cache)
    checks.test_users(stack, cache)
    checks.test_backups(stack, cache)
    checks.test_no_way_in(stack)


@pytest.mark.parametrize(
    ("name", "options", "check"),
    [
        ("plain", {"TransitEncryptionMode": "preferred"}, checks.test_encrypted),
        ("disk", {"AtRestEncryptionEnabled": False}, checks.test_encrypted),
        ("token", {"AuthToken": "a-token-of-sixteen"}, checks.test_users),
        ("forgetful", {"SnapshotRetentionLimit": 0}, checks.test_backups),
    ],
)
def test_a_bad_cache_fails(account: str, name: str, options: dict[str, Any], check: Any) -> None:
    stack = made(account, name, **options)
    with pytest.raises(AssertionError):
        check(stack, checks.describe(stack))


def test_an_open_door_is_found(account: str) -> None:
    stack = made(account, "open")
    client(account, "ec2").authorize_security_group_ingress(
        GroupId=stack["securityGroupId"], IpProtocol="tcp", FromPort=6379, ToPort=6379, CidrIp="0.0.0.0/0"
    )
    with pytest.raises(AssertionError, match=r"open to 0\.0\.0\.0/0"):
        checks.test_no_way_in(stack)


@pytest.mark.usefixtures("account")
def test_the_suite_signs_its_logins_on_a_stack_with_iam() -> None:
    stack = {"region": "eu-central-1", "cache": "signed", "serverless": False, "auth": "iam"}
    address = parse("rediss://signed-iam-app@master.signed.example:6379")
    subject = Subject(address, monitor_url="rediss://signed-iam-monitor@master.signed.example:6379", aws=stack)
    (node,) = subject.nodes
    assert subject.username("monitor") == "signed-iam-monitor"
    for user in ("app", "monitor"):
        name, token = provider_of(subject.at(node, user)).get_credentials()
        assert name == f"signed-iam-{user}"
        assert f"Action=connect&User={name}" in token
    assert provider_of(subject.as_user(node, "signed-iam-app", "wrong")) is None
    assert provider_of(subject.as_user(node, None, None)) is None


def provider_of(client: redis.Redis) -> Any:
    return client.connection_pool.connection_kwargs.get("credential_provider")
