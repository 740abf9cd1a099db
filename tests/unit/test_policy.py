"""The policy pack's rules: what each refuses, and that it lets through what is right."""

from __future__ import annotations

from typing import Any

import pytest

from infra.hardening import DEFAULT_USER
from infra.policy import rules
from infra.policy.rules import POLICIES, Subject

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
    rules.ELASTICACHE: GROUP,
    rules.SERVERLESS: SERVERLESS,
    rules.MEMORYSTORE: INSTANCE,
    rules.CONTAINERS: CONTAINERS,
    rules.SERVER: SERVER,
    rules.GROUP: SERVER,
}
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def violated(subject: Subject) -> set[str]:
    return {policy.name for policy in POLICIES if list(policy.check(subject))}


def prod(kind: str, **changes: Any) -> Subject:
    return Subject(kind, SOUND.get(kind, {}) | changes, is_protected=True, is_prod=True)


@pytest.mark.parametrize("kind", SOUND)
def test_what_is_right_passes(kind: str) -> None:
    assert violated(prod(kind)) == set()


@pytest.mark.parametrize(
    ("subject", "policy"),
    [
        (prod(rules.ELASTICACHE, transitEncryptionEnabled=False), "encryption-in-transit"),
        (prod(rules.ELASTICACHE, transitEncryptionMode="preferred"), "encryption-in-transit"),
        (prod(rules.MEMORYSTORE, transitEncryptionMode="TRANSIT_ENCRYPTION_DISABLED"), "encryption-in-transit"),
        (prod(rules.CONTAINERS, certificate=""), "encryption-in-transit"),
        (prod(rules.ELASTICACHE, atRestEncryptionEnabled=None), "encryption-at-rest"),
        (prod(rules.ELASTICACHE, userGroupIds=[]), "authentication"),
        (prod(rules.ELASTICACHE, authToken="a-token"), "authentication"),
        (prod(rules.SERVERLESS, userGroupId=None), "authentication"),
        (prod(rules.ELASTICACHE_USER, noPasswordRequired=True, accessString="on ~* +@all"), "authentication"),
        (prod(rules.MEMORYSTORE, authorizationMode="AUTH_DISABLED"), "authentication"),
        (prod(rules.CONTAINERS, passwords={"app": ""}), "authentication"),
        (prod(rules.SERVER, acl="user default on nopass ~* +@all\n"), "authentication"),
        (prod(INGRESS, cidrIpv4="0.0.0.0/0"), "not-public"),
        (prod(INGRESS, cidrIpv6="::/0"), "not-public"),
        (prod("aws:ec2/securityGroupRule:SecurityGroupRule", type="ingress", cidrBlocks=["0.0.0.0/0"]), "not-public"),
        (prod(rules.CONTAINERS, bind="0.0.0.0"), "not-public"),
        (prod(rules.CONTAINERS, bind="93.184.216.34"), "not-public"),
        (prod(rules.ELASTICACHE, snapshotRetentionLimit=0), "backups-in-prod"),
        (prod(rules.SERVERLESS, snapshotRetentionLimit=None), "backups-in-prod"),
        (prod(rules.MEMORYSTORE, automatedBackupConfig=None), "backups-in-prod"),
        (prod(rules.CONTAINERS, backupEvery=0), "backups-in-prod"),
        (prod(rules.GROUP, finalSnapshot=False), "backups-in-prod"),
        (Subject(rules.ELASTICACHE, GROUP, is_protected=False, is_prod=True), "protection-in-prod"),
        (prod(rules.MEMORYSTORE, deletionProtectionEnabled=False), "protection-in-prod"),
        (prod(rules.ELASTICACHE, engine="redis"), "supported-version"),
        (prod(rules.SERVERLESS, engine="redis"), "supported-version"),
        (prod(rules.CONTAINERS, version="9.1.0"), "supported-version"),
        (prod(rules.SERVER, version="8.1.6"), "supported-version"),
        (prod(rules.ELASTICACHE, tags=None), "tags"),
        (prod(rules.MEMORYSTORE, labels={}), "tags"),
    ],
)
def test_what_is_wrong_is_named(subject: Subject, policy: str) -> None:
    assert violated(subject) == {policy}


def test_an_allowed_network_may_reach_a_public_address() -> None:
    subject = Subject(rules.CONTAINERS, CONTAINERS | {"bind": "93.184.216.34"}, True, True, ("198.51.100.0/24",))
    assert violated(subject) == set()


def test_dev_needs_neither_backups_nor_protection() -> None:
    bare = {name: value for name, value in GROUP.items() if name != "snapshotRetentionLimit"}
    assert violated(Subject(rules.ELASTICACHE, bare)) == set()


def test_what_isnt_ours_is_let_alone() -> None:
    assert violated(Subject("aws:s3/bucket:Bucket", {}, is_prod=True)) == set()
