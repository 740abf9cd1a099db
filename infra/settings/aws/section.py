"""The keys of the aws target, each with a secure default."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.aws.catalogue import LOG_DAYS, REGIONS
from infra.settings.aws.nodes import NODE_TYPES
from infra.settings.keys import Blank, Flag, Key, Section
from infra.settings.values import EMAIL, Names, Pairs, each_fits, one_of, private_network

_TAG = re.compile(r"[\w .:/=+@-]*")
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_ARN = r"arn:aws(-[a-z]+)*"


_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
"""Carriers' addresses, which VPCs use too (RFC 6598); Python doesn't count them as private."""


def _closed(networks: tuple[str, ...]) -> tuple[str, ...]:
    for text in networks:
        network = ipaddress.ip_network(text)
        if network.prefixlen < (24 if _is_public(network) else 8 if network.version == 4 else 32):
            raise ValueError("open to a large part of the internet")
    return networks


def _is_public(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Of IPv6, all counts as not public: VPCs have no other addresses."""
    return isinstance(network, ipaddress.IPv4Network) and not (network.is_private or network.subnet_of(_SHARED))


def _not_reserved(tags: dict[str, str]) -> dict[str, str]:
    if any(not 0 < len(name) <= 128 or name.lower().startswith("aws:") for name in tags):
        raise ValueError("AWS keeps such names to itself")
    if not all(_TAG.fullmatch(text) for pair in tags.items() for text in pair):
        raise ValueError("signs that not all services take")
    return tags


def _real_id(name: str) -> str:
    if "--" in name or name.endswith("-"):
        raise ValueError("hyphens")
    return name


class AwsSettings(Section):
    """ElastiCache for Valkey and what belongs to it."""

    region: Annotated[str, one_of(REGIONS), Key("a region of AWS", "eu-central-1", "Where; needed")] = ""
    nodeType: Annotated[
        str,
        one_of(NODE_TYPES),
        Key("a node type such as cache.r7g.large, or empty", '""', "Instead of the smallest that holds `memory`"),
    ] = ""
    vpcId: Annotated[
        str,
        Field(pattern=r"^(vpc-[0-9a-f]+)?$"),
        Key("an id such as vpc-0a1b2c3d", "vpc-0a1b2c3d", "An existing VPC; empty makes one of its own, isolated"),
    ] = ""
    subnetIds: Annotated[
        Names,
        each_fits(r"subnet-[0-9a-f]+"),
        Key("ids such as subnet-0a1b,subnet-2c3d", "subnet-0a1b,subnet-2c3d", "Private subnets of that VPC"),
    ] = ()
    subnetGroup: Annotated[
        str,
        Field(pattern=r"^[a-zA-Z0-9-]{0,255}$"),
        Key("a subnet group's name", "my-subnets", "An existing ElastiCache subnet group, instead of VPC and subnets"),
    ] = ""
    vpcCidr: Annotated[
        str,
        private_network(16, 26),
        Key("a private network of /16 to /26", "10.60.0.0/24", "Addresses of the VPC of its own"),
    ] = "10.60.0.0/24"
    zones: Annotated[int, Field(ge=2, le=3), Key("2 or 3", "3", "Zones of the VPC of its own")] = 2
    allowedSecurityGroups: Annotated[
        Names,
        each_fits(r"sg-[0-9a-f]+"),
        Key("ids such as sg-0a1b", "sg-0a1b", "Whose members may connect, beside the group `clientSecurityGroupId`"),
    ] = ()
    allowedCidrs: Annotated[
        Names,
        AfterValidator(_closed),
        Key(
            "networks of /8 or smaller (public ones: /24, IPv6: /32), such as 10.0.0.0/16",
            "10.0.0.0/16",
            "Who else may connect",
        ),
    ] = ()
    auth: Annotated[
        Literal["password", "iam"],
        Key("password or iam", "password", "How users log in; with iam each client signs its logins"),
    ] = "password"
    kmsKey: Annotated[
        str,
        Field(pattern=rf"^(own|{_ARN}:kms:[a-z0-9-]+:\d{{12}}:key/[0-9a-zA-Z-]+)?$"),
        Key("own, or the ARN of a key, or empty for AWS's key", "own", "The key of the encryption at rest"),
    ] = ""
    backupDays: Annotated[
        Annotated[int, Field(ge=1, le=35)] | None,
        Blank,
        Key("1 to 35, or empty", "7", "How long daily backups stay; empty is 7 in prod, 1 in dev"),
    ] = None
    backupWindow: Annotated[
        str,
        Field(pattern=rf"^{_CLOCK}-{_CLOCK}$"),
        Key("hours in UTC such as 03:00-04:00", "03:00-04:00", "When backups begin"),
    ] = "03:00-04:00"
    maintenanceWindow: Annotated[
        str,
        Field(pattern=rf"^({_DAYS}):{_CLOCK}-({_DAYS}):{_CLOCK}$"),
        Key("days and hours in UTC such as sun:05:00-sun:06:00", "sun:05:00-sun:06:00", "When AWS may patch"),
    ] = "sun:05:00-sun:06:00"
    applyImmediately: Annotated[
        Flag | None,
        Blank,
        Key("true, false or empty", "true", "Changes don't wait for the window; empty is true in dev, false in prod"),
    ] = None
    multiZone: Annotated[
        Flag | None,
        Blank,
        Key("true, false or empty", '""', "Nodes in several zones; empty is yes where there are replicas"),
    ] = None
    durability: Annotated[
        Literal["", "async", "sync"],
        Key("async, sync or empty", '""', "A durable log beside the replicas (clusters, Valkey 9.0 and newer)"),
    ] = ""
    maxEcpu: Annotated[
        Annotated[int, Field(ge=1000, le=15_000_000)] | None,
        Blank,
        Key("1000 to 15000000, or empty", '""', "What a serverless cache may compute a second, in ECPU"),
    ] = None
    logDays: Annotated[
        int,
        one_of(LOG_DAYS),
        Key(f"one of {', '.join(map(str, LOG_DAYS))}", "30", "How long slow and engine logs stay"),
    ] = 30
    alarmEmails: Annotated[
        Names,
        each_fits(EMAIL),
        Key("addresses such as ops@example.org", "ops@example.org", "Who gets the alarms; each must confirm once"),
    ] = ()
    tags: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(max_length=40),  # of AWS's 50; ours and some services' own come on top
        Pairs,
        AfterValidator(_not_reserved),
        Key(
            "40 names and values at most, of letters, digits, spaces and _.:/=+@-, none that begins with aws:",
            "team=web",
            "On everything, beside our own",
        ),
    ] = Field(default_factory=dict)
    existing: Annotated[
        str,
        Field(pattern=r"^([a-z][a-z0-9-]{0,39})?$"),
        AfterValidator(_real_id),
        Key(
            "a replication group's id: 40 lower-case letters, digits and single hyphens at most",
            "my-redis",
            "A group that exists already, Redis or Valkey: it is imported and brought to this configuration",
        ),
    ] = ""
    allowReplacement: Annotated[
        Flag,
        Key("true or false", "false", "An update may replace what holds data, or go back to an older version"),
    ] = False
