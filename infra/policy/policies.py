"""The policies that every resource must meet, without any use of Pulumi.

The program meets them by itself. The pack verifies that, and checks resources that others add to a stack.
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
class CheckedResource:
    """kind: the type token. props: the inputs, with the schema's names. allowed: `docker.allowedCidrs`."""

    kind: str
    props: Mapping[str, Any]
    is_protected: bool = False
    is_prod: bool = False
    allowed: Sequence[str] = ()


@dataclass(frozen=True)
class Policy:
    """check: yields each problem of a resource with its fix."""

    name: str
    description: str
    check: Callable[[CheckedResource], Iterator[str]]


def _in_transit(resource: CheckedResource) -> Iterator[str]:
    props = resource.props
    if resource.kind == ELASTICACHE and not (
        props.get("transitEncryptionEnabled") is True and props.get("transitEncryptionMode", "required") == "required"
    ):
        yield "it accepts connections without TLS -> transitEncryptionEnabled true, transitEncryptionMode required"
    if resource.kind == MEMORYSTORE and props.get("transitEncryptionMode") != "SERVER_AUTHENTICATION":
        yield "it accepts connections without TLS -> transitEncryptionMode SERVER_AUTHENTICATION"
    if resource.kind == CONTAINERS and not props.get("certificate"):
        yield "it has no certificate, so no TLS -> the docker target of this project issues one"


def _at_rest(resource: CheckedResource) -> Iterator[str]:
    if resource.kind == ELASTICACHE and resource.props.get("atRestEncryptionEnabled") is not True:
        yield "its data isn't encrypted at rest -> atRestEncryptionEnabled true"


def _authentication(resource: CheckedResource) -> Iterator[str]:
    props = resource.props
    if resource.kind == ELASTICACHE and (props.get("authToken") or not props.get("userGroupIds")):
        yield "it needs no login, or one shared token -> a user group, and no authToken"
    if resource.kind == SERVERLESS and not props.get("userGroupId"):
        yield "it needs no login -> a user group"
    if resource.kind == ELASTICACHE_USER and props.get("noPasswordRequired") is True and not _is_off(props):
        yield "this user needs no password -> passwords or IAM"
    if resource.kind == MEMORYSTORE and props.get("authorizationMode") != "IAM_AUTH" and not props.get("aclPolicy"):
        yield "it needs no login -> authorizationMode IAM_AUTH, or an ACL policy"
    if resource.kind in {SERVER, GROUP} and DEFAULT_USER not in str(props.get("acl", "")):
        yield "its default user isn't off -> the ACL file of this project's hardening"
    if resource.kind == CONTAINERS and not all((props.get("passwords") or {}).values()):
        yield "a user has no password -> a random one for each"


def _not_public(resource: CheckedResource) -> Iterator[str]:
    props = resource.props
    if resource.kind in _INGRESS and props.get("type", "ingress") == "ingress":
        listed = [props.get("cidrIpv4"), props.get("cidrIpv6"), *(props.get("cidrBlocks") or [])]
        for network in filter(None, [*listed, *(props.get("ipv6CidrBlocks") or [])]):
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                yield f"it admits {network} -> the networks of its clients"
    if resource.kind == CONTAINERS and _is_public(str(props.get("bind", ""))) and not resource.allowed:
        yield f"{props['bind']} is open to the internet -> docker.bind 127.0.0.1, or docker.allowedCidrs"


def _backups(resource: CheckedResource) -> Iterator[str]:
    props = resource.props
    if not resource.is_prod:
        return
    if resource.kind in {ELASTICACHE, SERVERLESS} and not int(props.get("snapshotRetentionLimit") or 0):
        yield "it has no daily backups -> snapshotRetentionLimit"
    if resource.kind == MEMORYSTORE and not props.get("automatedBackupConfig"):
        yield "it has no daily backups -> automatedBackupConfig"
    if resource.kind == CONTAINERS and not props.get("backupEvery"):
        yield "it has no scheduled backups -> pulumi config set --path docker.backupEvery 24"
    if resource.kind in {SERVER, GROUP, CONTAINERS} and not props.get("finalSnapshot"):
        yield "`make down` would lose its data -> pulumi config set finalSnapshot true"


def _protection(resource: CheckedResource) -> Iterator[str]:
    if not resource.is_prod or resource.kind not in _DEPLOYMENTS:
        return
    if not resource.is_protected:
        yield "it is not protected from deletion -> protect: true"
    if resource.kind == MEMORYSTORE and resource.props.get("deletionProtectionEnabled") is not True:
        yield "the service does not protect it from deletion -> deletionProtectionEnabled true"


def _version(resource: CheckedResource) -> Iterator[str]:
    """A managed service reports a minor version only, and applies patches by itself."""
    props = resource.props
    if resource.kind in {ELASTICACHE, SERVERLESS} and props.get("engine") != "valkey":
        yield f"its engine is {props.get('engine')} -> engine valkey"
    version = vulnerabilities.parse_release(str(props.get("version", "")))
    if resource.kind not in {SERVER, GROUP, CONTAINERS} or version is None:
        return
    vulnerable = vulnerabilities.affecting("valkey", version, has_tls=resource.kind == CONTAINERS)
    if vulnerable:
        fixed = vulnerabilities.fixed_release(vulnerable, "valkey", f"{version[0]}.{version[1]}")
        cves = ", ".join(entry.cve for entry in vulnerable)
        yield f"Valkey {props['version']} is vulnerable to {cves} -> {fixed} or newer"


def _tags(resource: CheckedResource) -> Iterator[str]:
    if resource.kind in _IN_CLOUDS and not (resource.props.get("tags") or resource.props.get("labels")):
        yield "its owner is unknown -> tags"


def _is_off(props: Mapping[str, Any]) -> bool:
    return str(props.get("accessString", "")).startswith("off ")


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a name, or empty
        return False
    return parsed.is_global or parsed.is_unspecified


POLICIES = (
    Policy("encryption-in-transit", "Connections are encrypted, except on loopback.", _in_transit),
    Policy("encryption-at-rest", "Data in clouds is encrypted at rest.", _at_rest),
    Policy("authentication", "Every client needs a login of its own.", _authentication),
    Policy("not-public", "The deployment is not open to the internet.", _not_public),
    Policy("backups-in-prod", "In prod there are backups.", _backups),
    Policy("protection-in-prod", "In prod, resources with data are protected from deletion.", _protection),
    Policy("supported-version", "The engine is Valkey without known vulnerabilities.", _version),
    Policy("tags", "Resources in clouds have tags or labels.", _tags),
)  # fmt: skip
