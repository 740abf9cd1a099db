"""The policy pack's rules: what each refuses, and that it lets through what is right."""

from __future__ import annotations

from typing import Any

import pytest

from infra.hardening import DEFAULT_USER
from infra.policy import policies
from infra.policy.policies import POLICIES, CheckedResource

GROUP = {
    "engine": "valkey",
    "engineVersion": "8.1",
    "transitEncryptionEnabled": True,
    "transitEncryptionMode": "required",
    "atRestEncryptionEnabled": True,
    "userGroupIds": ["team"],
    "snapshotRetentionLimit": 7,
    "tags": {"team": "web"},
}
SERVERLESS = {"engine": "valkey", "userGroupId": "team", "snapshotRetentionLimit": 7, "tags": {"team": "web"}}
INSTANCE = {
    "engineVersion": "VALKEY_8_0",
    "transitEncryptionMode": "SERVER_AUTHENTICATION",
    "authorizationMode": "IAM_AUTH",
    "automatedBackupConfig": {"retention": "86400s"},
    "deletionProtectionEnabled": True,
    "labels": {"team": "web"},
}
CONTAINERS = {
    "version": "9.1",
    "certificate": "PEM",
    "passwords": {"app": "x"},
    "bind": "10.0.0.5",
    "backupEvery": 24,
    "finalSnapshot": True,
}
SERVER = {"version": "9.1.2", "acl": f"{DEFAULT_USER}\n", "finalSnapshot": True}
SOUND = {
    policies.ELASTICACHE: GROUP,
    policies.SERVERLESS: SERVERLESS,
    policies.MEMORYSTORE: INSTANCE,
    policies.CONTAINERS: CONTAINERS,
    policies.SERVER: SERVER,
    policies.GROUP: SERVER,
}
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def violated(subject: CheckedResource) -> set[str]:
    return {policy.name for policy in POLICIES if list(policy.check(subject))}


def prod(kind: str, **changes: Any) -> CheckedResource:
    return CheckedResource(kind, SOUND.get(kind, {}) | changes, is_protected=True, is_prod=True)


@pytest.mark.parametrize("kind", SOUND)
def test_what_is_right_passes(kind: str) -> None:
    assert violated(prod(kind)) == set()


@pytest.mark.parametrize(
    ("subject", "policy"),
    [
        (prod(policies.ELASTICACHE, transitEncryptionEnabled=False), "encryption-in-transit"),
        (prod(policies.ELASTICACHE, transitEncryptionMode="preferred"), "encryption-in-transit"),
        (prod(policies.MEMORYSTORE, transitEncryptionMode="TRANSIT_ENCRYPTION_DISABLED"), "encryption-in-transit"),
        (prod(policies.CONTAINERS, certificate=""), "encryption-in-transit"),
        (prod(policies.ELASTICACHE, atRestEncryptionEnabled=None), "encryption-at-rest"),
        (prod(policies.ELASTICACHE, userGroupIds=[]), "authentication"),
        (prod(policies.ELASTICACHE, authToken="a-token"), "authentication"),
        (prod(policies.SERVERLESS, userGroupId=None), "authentication"),
        (prod(policies.ELASTICACHE_USER, noPasswordRequired=True, accessString="on ~* +@all"), "authentication"),
        (prod(policies.MEMORYSTORE, authorizationMode="AUTH_DISABLED"), "authentication"),
        (prod(policies.CONTAINERS, passwords={"app": ""}), "authentication"),
        (prod(policies.SERVER, acl="user default on nopass ~* +@all\n"), "authentication"),
        (prod(INGRESS, cidrIpv4="0.0.0.0/0"), "not-public"),
        (prod(INGRESS, cidrIpv6="::/0"), "not-public"),
        (prod("aws:ec2/securityGroupRule:SecurityGroupRule", type="ingress", cidrBlocks=["0.0.0.0/0"]), "not-public"),
        (prod(policies.CONTAINERS, bind="0.0.0.0"), "not-public"),
        (prod(policies.CONTAINERS, bind="93.184.216.34"), "not-public"),
        (prod(policies.ELASTICACHE, snapshotRetentionLimit=0), "backups-in-prod"),
        (prod(policies.SERVERLESS, snapshotRetentionLimit=None), "backups-in-prod"),
        (prod(policies.MEMORYSTORE, automatedBackupConfig=None), "backups-in-prod"),
        (prod(policies.CONTAINERS, backupEvery=0), "backups-in-prod"),
        (prod(policies.GROUP, finalSnapshot=False), "backups-in-prod"),
        (CheckedResource(policies.ELASTICACHE, GROUP, is_protected=False, is_prod=True), "protection-in-prod"),
        (prod(policies.MEMORYSTORE, deletionProtectionEnabled=False), "protection-in-prod"),
        (prod(policies.ELASTICACHE, engine="redis"), "supported-version"),
        (prod(policies.SERVERLESS, engine="redis"), "supported-version"),
        (prod(policies.CONTAINERS, version="9.1.0"), "supported-version"),
        (prod(policies.SERVER, version="8.1.6"), "supported-version"),
        (prod(policies.ELASTICACHE, tags=None), "tags"),
        (prod(policies.MEMORYSTORE, labels={}), "tags"),
    ],
)
def test_what_is_wrong_is_named(subject: CheckedResource, policy: str) -> None:
    assert violated(subject) == {policy}


def test_an_allowed_network_may_reach_a_public_address() -> None:
    subject = CheckedResource(
        policies.CONTAINERS, CONTAINERS | {"bind": "93.184.216.34"}, True, True, ("198.51.100.0/24",)
    )
    assert violated(subject) == set()


def test_dev_needs_neither_backups_nor_protection() -> None:
    bare = {name: value for name, value in GROUP.items() if name != "snapshotRetentionLimit"}
    assert violated(CheckedResource(policies.ELASTICACHE, bare)) == set()


def test_resources_of_others_are_ignored() -> None:
    assert violated(CheckedResource("aws:s3/bucket:Bucket", {}, is_prod=True)) == set()
