"""What is asked of each resource; they know nothing of Pulumi.

The program keeps all of it by itself. The pack proves that of a stack, and holds for what others write beside it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkeykit_ops import vulnerabilities

from infra.hardening import DEFAULT_USER

SERVER = "pulumi-python:dynamic/valkey:Server"
GROUP = "pulumi-python:dynamic/valkey:ServerGroup"
CONTAINERS = "pulumi-python:dynamic/valkey:Containers"
ELASTICACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"
ELASTICACHE_USER = "aws:elasticache/user:User"
MEMORYSTORE = "gcp:memorystore/instance:Instance"

_INGRESS = ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws:ec2/securityGroupRule:SecurityGroupRule")
_DEPLOYMENTS = (SERVER, GROUP, CONTAINERS, ELASTICACHE, SERVERLESS, MEMORYSTORE)
_IN_CLOUDS = (ELASTICACHE, SERVERLESS, MEMORYSTORE)


@dataclass(frozen=True)
class Subject:
    """A resource. kind: its type token. props: its inputs, by the schema's names.

    allowed: the networks of `docker.allow`.
    """

    kind: str
    props: Mapping[str, Any]
    is_protected: bool = False
    is_prod: bool = False
    allowed: Sequence[str] = ()


@dataclass(frozen=True)
class Policy:
    """check: yields what is wrong with a resource, with its mend."""

    name: str
    description: str
    check: Callable[[Subject], Iterator[str]]


def _in_transit(subject: Subject) -> Iterator[str]:
    props = subject.props
    if subject.kind == ELASTICACHE and not (
        props.get("transitEncryptionEnabled") is True and props.get("transitEncryptionMode", "required") == "required"
    ):
        yield "it takes connections without TLS -> transitEncryptionEnabled true, transitEncryptionMode required"
    if subject.kind == MEMORYSTORE and props.get("transitEncryptionMode") != "SERVER_AUTHENTICATION":
        yield "it takes connections without TLS -> transitEncryptionMode SERVER_AUTHENTICATION"
    if subject.kind == CONTAINERS and not props.get("certificate"):
        yield "it has no certificate, so no TLS -> the docker target of this project issues one"


def _at_rest(subject: Subject) -> Iterator[str]:
    if subject.kind == ELASTICACHE and subject.props.get("atRestEncryptionEnabled") is not True:
        yield "its data isn't encrypted at rest -> atRestEncryptionEnabled true"


def _authentication(subject: Subject) -> Iterator[str]:
    props = subject.props
    if subject.kind == ELASTICACHE and (props.get("authToken") or not props.get("userGroupIds")):
        yield "whoever reaches it gets in, or shares one token -> a user group, and no authToken"
    if subject.kind == SERVERLESS and not props.get("userGroupId"):
        yield "whoever reaches it gets in -> a user group"
    if subject.kind == ELASTICACHE_USER and props.get("noPasswordRequired") is True and not _is_off(props):
        yield "this user needs no password -> passwords or IAM"
    if subject.kind == MEMORYSTORE and props.get("authorizationMode") != "IAM_AUTH" and not props.get("aclPolicy"):
        yield "whoever reaches it gets in -> authorizationMode IAM_AUTH, or an ACL policy"
    if subject.kind in {SERVER, GROUP} and DEFAULT_USER not in str(props.get("acl", "")):
        yield "its default user isn't off -> the ACL file of this project's hardening"
    if subject.kind == CONTAINERS and not all((props.get("passwords") or {}).values()):
        yield "a user has no password -> a random one for each"


def _not_public(subject: Subject) -> Iterator[str]:
    props = subject.props
    if subject.kind in _INGRESS and props.get("type", "ingress") == "ingress":
        listed = [props.get("cidrIpv4"), props.get("cidrIpv6"), *(props.get("cidrBlocks") or [])]
        for network in filter(None, [*listed, *(props.get("ipv6CidrBlocks") or [])]):
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                yield f"it lets {network} in -> the networks of its clients"
    if subject.kind == CONTAINERS and _is_public(str(props.get("bind", ""))) and not subject.allowed:
        yield f"{props['bind']} is reached from the internet -> docker.bind 127.0.0.1, or docker.allow"


def _backups(subject: Subject) -> Iterator[str]:
    props = subject.props
    if not subject.is_prod:
        return
    if subject.kind in {ELASTICACHE, SERVERLESS} and not int(props.get("snapshotRetentionLimit") or 0):
        yield "it has no daily backups -> snapshotRetentionLimit"
    if subject.kind == MEMORYSTORE and not props.get("automatedBackupConfig"):
        yield "it has no daily backups -> automatedBackupConfig"
    if subject.kind == CONTAINERS and not props.get("backupEvery"):
        yield "it has no scheduled backups -> pulumi config set --path valkey:docker.backupEvery 24"
    if subject.kind in {SERVER, GROUP, CONTAINERS} and not props.get("finalSnapshot"):
        yield "taken down, its data is gone -> pulumi config set finalSnapshot true"


def _protection(subject: Subject) -> Iterator[str]:
    if not subject.is_prod or subject.kind not in _DEPLOYMENTS:
        return
    if not subject.is_protected:
        yield "it isn't protected from deletion -> protect: true"
    if subject.kind == MEMORYSTORE and subject.props.get("deletionProtectionEnabled") is not True:
        yield "the service would delete it -> deletionProtectionEnabled true"


def _version(subject: Subject) -> Iterator[str]:
    """A service names a line only, and puts the fixes in by itself."""
    props = subject.props
    if subject.kind in {ELASTICACHE, SERVERLESS} and props.get("engine") != "valkey":
        yield f"its engine is {props.get('engine')} -> engine valkey"
    version = vulnerabilities.parse_version(str(props.get("version", "")))
    if subject.kind not in {SERVER, GROUP, CONTAINERS} or version is None:
        return
    known = vulnerabilities.affecting("valkey", version, has_tls=subject.kind == CONTAINERS)
    if known:
        fixed = vulnerabilities.fixed_release(known, "valkey", f"{version[0]}.{version[1]}")
        yield f"Valkey {props['version']} is open to {', '.join(one.cve for one in known)} -> {fixed} or newer"


def _tags(subject: Subject) -> Iterator[str]:
    if subject.kind in _IN_CLOUDS and not (subject.props.get("tags") or subject.props.get("labels")):
        yield "nobody can tell whose it is -> tags"


def _is_off(props: Mapping[str, Any]) -> bool:
    return str(props.get("accessString", "")).startswith("off ")


def _is_public(address: str) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # a name, or nothing
        return False
    return known.is_global or known.is_unspecified


POLICIES = (
    Policy("encryption-in-transit", "Connections are encrypted; the embedded target is on loopback.", _in_transit),
    Policy("encryption-at-rest", "Data is encrypted at rest in clouds.", _at_rest),
    Policy("authentication", "Nobody gets in without a login of their own.", _authentication),
    Policy("not-public", "The internet doesn't reach it.", _not_public),
    Policy("backups-in-prod", "In prod there are backups.", _backups),
    Policy("protection-in-prod", "In prod nothing that holds data is deleted by mistake.", _protection),
    Policy("supported-version", "It runs Valkey, without a known vulnerability.", _version),
    Policy("tags", "In clouds it bears tags or labels.", _tags),
)  # fmt: skip
