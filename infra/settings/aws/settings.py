"""Configuration keys of the aws target, with secure defaults."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.aws.catalogue import LOG_RETENTION_DAYS, MAX_ECPU, MAX_NODE_QUOTA, MIN_ECPU, NODE_QUOTA, REGIONS
from infra.settings.aws.node_types import NODE_TYPES
from infra.settings.aws.users import MAX_USERS, UserMap
from infra.settings.config_keys import EmptyAsNone, Key, SettingsModel, Size, StrictBool
from infra.settings.values import EMAIL, KeyValuePairs, NameList, each_matches, one_of, private_network

_TAG = re.compile(r"[\w .:/=+@-]*")
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_ARN = r"arn:aws(-[a-z]+)*"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_KMS_KEY = rf"{_ARN}:kms:[a-z0-9-]+:\d{{12}}:key/[0-9a-zA-Z-]+"
_KMS_KEY_OR_EMPTY = f"^({_KMS_KEY})?$"
_TOPIC_OR_EMPTY = rf"^({_ARN}:sns:[a-z0-9-]+:\d{{12}}:[0-9a-zA-Z_-]{{1,256}})?$"

_SHARED_ADDRESSES = ipaddress.IPv4Network("100.64.0.0/10")
"""Shared address space (RFC 6598), which VPCs use too; Python doesn't count it as private."""


def _not_open(networks: tuple[str, ...]) -> tuple[str, ...]:
    for text in networks:
        network = ipaddress.ip_network(text)
        if network.prefixlen < (24 if _is_public(network) else 8 if network.version == 4 else 32):
            raise ValueError("open to a large part of the internet")
    return networks


def _is_public(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """IPv6 counts as private: VPCs have no other IPv6 addresses."""
    return isinstance(network, ipaddress.IPv4Network) and not (
        network.is_private or network.subnet_of(_SHARED_ADDRESSES)
    )


def _not_reserved(tags: dict[str, str]) -> dict[str, str]:
    if any(not 0 < len(name) <= 128 or name.lower().startswith("aws:") for name in tags):
        raise ValueError("AWS reserves such names")
    if not all(_TAG.fullmatch(text) for pair in tags.items() for text in pair):
        raise ValueError("characters that some services reject")
    return tags


def _valid_id(name: str) -> str:
    if "--" in name or name.endswith("-"):
        raise ValueError("hyphens")
    return name


class AwsSettings(SettingsModel):
    """ElastiCache for Valkey and its surrounding resources."""

    region: Annotated[
        str, one_of(REGIONS), Key("an AWS region", "eu-central-1", "Region of all resources; required")
    ] = ""
    nodeType: Annotated[
        str,
        one_of(NODE_TYPES),
        Key(
            "a node type such as cache.r7g.large, or empty",
            '""',
            "Node type; default: the smallest that holds `memory`",
        ),
    ] = ""
    vpcId: Annotated[
        str,
        Field(pattern=r"^(vpc-[0-9a-f]+)?$"),
        Key("an id such as vpc-0a1b2c3d", "vpc-0a1b2c3d", "An existing VPC; default: a new, isolated one"),
    ] = ""
    subnetIds: Annotated[
        NameList,
        each_matches(r"subnet-[0-9a-f]+"),
        Key("ids such as subnet-0a1b,subnet-2c3d", "subnet-0a1b,subnet-2c3d", "Private subnets of the existing VPC"),
    ] = ()
    subnetGroup: Annotated[
        str,
        Field(pattern=r"^[a-zA-Z0-9-]{0,255}$"),
        Key(
            "a subnet group's name",
            "my-subnets",
            "An existing ElastiCache subnet group, instead of `vpcId` and `subnetIds`",
        ),
    ] = ""
    vpcCidr: Annotated[
        str,
        private_network(16, 26),
        Key("a private network of /16 to /26", "10.60.0.0/24", "Address range of a new VPC"),
    ] = "10.60.0.0/24"
    zones: Annotated[int, Field(ge=2, le=3), Key("2 or 3", "3", "Number of availability zones of a new VPC")] = 2
    allowedSecurityGroups: Annotated[
        NameList,
        each_matches(r"(\d{12}/)?sg-[0-9a-f]+"),
        Key(
            "ids such as sg-0a1b, with the account such as 123456789012/sg-0a1b in a peered VPC",
            "sg-0a1b",
            "Security groups whose members may connect, in addition to the output `clientSecurityGroupId`",
        ),
    ] = ()
    securityGroups: Annotated[
        NameList,
        each_matches(r"sg-[0-9a-f]+"),
        Field(max_length=4),
        Key("up to 4 ids such as sg-0a1b", "sg-0a1b", "Existing security groups of the cache, in addition to its own"),
    ] = ()
    allowedPrefixLists: Annotated[
        NameList,
        each_matches(r"pl-[0-9a-f]+"),
        Key("ids such as pl-0a1b", "pl-0a1b", "Prefix lists whose networks may connect"),
    ] = ()
    allowedCidrs: Annotated[
        NameList,
        AfterValidator(_not_open),
        Key(
            "networks of /8 or smaller (public ones: /24, IPv6: /32), such as 10.0.0.0/16",
            "10.0.0.0/16",
            "Networks that may connect",
        ),
    ] = ()
    auth: Annotated[
        Literal["password", "iam"],
        Key("password or iam", "password", "Authentication; with iam each client signs its logins"),
    ] = "password"
    users: Annotated[
        UserMap,
        Field(max_length=MAX_USERS),
        Key(
            "a map of names, up to 20 lower-case letters and digits, and rules such as ~report:* +@read",
            '""',
            "Users of single applications, in addition to app, admin and monitor",
        ),
    ] = Field(default_factory=dict)
    kmsKey: Annotated[
        str,
        Field(pattern=f"^(own|{_KMS_KEY})?$"),
        Key("own, the ARN of a key, or empty for AWS's key", "own", "Key for encryption at rest; own creates one"),
    ] = ""
    backupDays: Annotated[
        Annotated[int, Field(ge=0, le=35)] | None,
        EmptyAsNone,
        Key(
            "0 to 35, or empty",
            "7",
            "Retention of daily backups in days, 0 for no backups; default: 7 in prod, 1 in dev",
        ),
    ] = None
    backupWindow: Annotated[
        str,
        Field(pattern=rf"^{_CLOCK}-{_CLOCK}$"),
        Key("hours in UTC such as 03:00-04:00", "03:00-04:00", "Window for the start of backups"),
    ] = "03:00-04:00"
    maintenanceWindow: Annotated[
        str,
        Field(pattern=rf"^({_DAYS}):{_CLOCK}-({_DAYS}):{_CLOCK}$"),
        Key("days and hours in UTC such as sun:05:00-sun:06:00", "sun:05:00-sun:06:00", "Window for AWS maintenance"),
    ] = "sun:05:00-sun:06:00"
    applyImmediately: Annotated[
        StrictBool | None,
        EmptyAsNone,
        Key(
            "true, false or empty",
            "true",
            "Apply changes outside the maintenance window; default: true in dev, false in prod",
        ),
    ] = None
    multiZone: Annotated[
        StrictBool | None,
        EmptyAsNone,
        Key("true, false or empty", '""', "Nodes in several zones; default: true if there are replicas"),
    ] = None
    durability: Annotated[
        Literal["", "async", "sync", "disabled"],
        Key(
            "async, sync, disabled or empty",
            '""',
            "A durable log in addition to replicas (clusters, Valkey 9.0 and newer); disabled turns it off again",
        ),
    ] = ""
    enableClusterMode: Annotated[
        StrictBool,
        Key(
            "true or false",
            "true",
            "Enable cluster mode in place, in two updates: first with topology replicated, then with cluster",
        ),
    ] = False
    nodeQuota: Annotated[
        int,
        Field(ge=NODE_QUOTA, le=MAX_NODE_QUOTA),
        Key("90 to 500", "200", "Quota of nodes in a cluster, where AWS has raised it"),
    ] = NODE_QUOTA
    maxEcpu: Annotated[
        Annotated[int, Field(ge=MIN_ECPU, le=MAX_ECPU)] | None,
        EmptyAsNone,
        Key(
            f"{MIN_ECPU} to {MAX_ECPU}, or empty",
            '""',
            "Limit of a serverless cache in ECPU per second; to lift it, set the maximum",
        ),
    ] = None
    minEcpu: Annotated[
        Annotated[int, Field(ge=MIN_ECPU, le=MAX_ECPU)] | None,
        EmptyAsNone,
        Key(
            f"{MIN_ECPU} to {MAX_ECPU}, or empty",
            '""',
            "ECPU per second that a serverless cache always has ready, and that AWS always bills",
        ),
    ] = None
    minMemory: Annotated[
        Size | None,
        EmptyAsNone,
        Key(
            "a size such as 10gb, or empty",
            '""',
            "Memory that a serverless cache always has ready, and that AWS always bills",
        ),
    ] = None
    logDays: Annotated[
        int,
        one_of(LOG_RETENTION_DAYS),
        Key(
            f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}", "30", "Retention of slow logs and engine logs in days"
        ),
    ] = 30
    logFormat: Annotated[
        Literal["json", "text"], Key("json or text", "json", "Format of slow logs and engine logs")
    ] = "json"
    logFirehose: Annotated[
        str,
        Field(pattern=r"^[a-zA-Z0-9_.-]{0,64}$"),
        Key(
            "the name of a Firehose stream, or empty",
            '""',
            "An existing Firehose stream for the logs, instead of CloudWatch",
        ),
    ] = ""
    dnsName: Annotated[
        str,
        Field(pattern=rf"^({_LABEL}(\.{_LABEL})+)?$", max_length=253),
        Key(
            "a host name such as valkey.example.org, or empty",
            '""',
            "A name for the cache in `hostedZone`; its certificate does not cover it",
        ),
    ] = ""
    hostedZone: Annotated[
        str,
        Field(pattern=r"^(Z[A-Z0-9]{1,31})?$"),
        Key("the id of a Route 53 hosted zone, or empty", '""', "The hosted zone of `dnsName`"),
    ] = ""
    alertEmails: Annotated[
        NameList,
        each_matches(EMAIL),
        Key("addresses such as ops@example.org", "ops@example.org", "Recipients of alerts; each must confirm once"),
    ] = ()
    topicArn: Annotated[
        str,
        Field(pattern=_TOPIC_OR_EMPTY),
        Key("the ARN of an SNS topic, or empty", '""', "An existing topic for alarms and events; default: a new one"),
    ] = ""
    topicKmsKey: Annotated[
        str,
        Field(pattern=_KMS_KEY_OR_EMPTY),
        Key(
            "the ARN of a key, or empty",
            '""',
            "Key for messages of the new topic; CloudWatch must be allowed to use it",
        ),
    ] = ""
    logKmsKey: Annotated[
        str,
        Field(pattern=_KMS_KEY_OR_EMPTY),
        Key("the ARN of a key, or empty", '""', "Key for the logs; CloudWatch Logs must be allowed to use it"),
    ] = ""
    alarms: Annotated[StrictBool, Key("true or false", "false", "CloudWatch alarms")] = True
    alarmThresholds: Annotated[
        dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
        KeyValuePairs,
        Key(
            "a map of metrics and numbers, such as CurrConnections=5000", "CurrConnections=5000", "Thresholds of alarms"
        ),
    ] = Field(default_factory=dict)
    autoMinorUpgrade: Annotated[
        StrictBool, Key("true or false", "true", "Let AWS upgrade to newer minor versions in the maintenance window")
    ] = True
    tags: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(max_length=40),  # AWS allows 50; the program and some services add their own
        KeyValuePairs,
        AfterValidator(_not_reserved),
        Key(
            "up to 40 names and values of letters, digits, spaces and _.:/=+@-, no name starting with aws:",
            "team=web",
            "Tags of all resources, in addition to the program's own",
        ),
    ] = Field(default_factory=dict)
    existing: Annotated[
        str,
        Field(pattern=r"^([a-z][a-z0-9-]{0,39})?$"),
        AfterValidator(_valid_id),
        Key(
            "the id of a replication group: up to 40 lower-case letters, digits and single hyphens",
            "my-redis",
            "An existing replication group, Redis or Valkey, to import and update to this configuration",
        ),
    ] = ""
    allowReplacement: Annotated[
        StrictBool,
        Key("true or false", "false", "Allow updates that replace the cache or downgrade its version"),
    ] = False
