"""The keys of the aws target, each with a secure default."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from infra.settings.aws.catalogue import LOG_DAYS, REGIONS
from infra.settings.aws.nodes import NODE_TYPES
from infra.settings.keys import Blank, Flag, Key, Names, Section

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_ARN = r"arn:aws(-[a-z]+)*"


def _one_of(known: Any) -> AfterValidator:
    def check(value: Any) -> Any:
        if value not in ("", *known):
            raise ValueError("unknown")
        return value

    return AfterValidator(check)


def _each_fits(pattern: str) -> AfterValidator:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(pattern, value) for value in values):
            raise ValueError("not such a list")
        return values

    return AfterValidator(check)


def _closed(networks: tuple[str, ...]) -> tuple[str, ...]:
    for text in networks:
        network = ipaddress.ip_network(text)
        if network.prefixlen < (8 if network.version == 4 else 32):
            raise ValueError("open to a large part of the internet")
    return networks


def _splittable(text: str) -> str:
    network = ipaddress.IPv4Network(text)
    if not (network.is_private and 16 <= network.prefixlen <= 26):
        raise ValueError("no private network of that size")
    return text


def _labels(value: object) -> object:
    """Names and values, or one text such as team=web,cost=12. A value such as 12 arrives as a number."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): text.strip() for name, _, text in pairs}
    return {name: str(text) for name, text in value.items()} if isinstance(value, dict) else value


def _not_reserved(tags: dict[str, str]) -> dict[str, str]:
    if any(not 0 < len(name) <= 128 or name.lower().startswith("aws:") for name in tags):
        raise ValueError("AWS keeps such names to itself")
    return tags


def _real_id(name: str) -> str:
    if "--" in name or name.endswith("-"):
        raise ValueError("hyphens")
    return name


class AwsSettings(Section):
    """ElastiCache for Valkey and what belongs to it."""

    region: Annotated[str, _one_of(REGIONS), Key("a region of AWS", "eu-central-1", "Where; needed")] = ""
    nodeType: Annotated[
        str,
        _one_of(NODE_TYPES),
        Key("a node type such as cache.r7g.large, or empty", '""', "Instead of the smallest that holds `memory`"),
    ] = ""
    vpcId: Annotated[
        str,
        Field(pattern=r"^(vpc-[0-9a-f]+)?$"),
        Key("an id such as vpc-0a1b2c3d", "vpc-0a1b2c3d", "An existing VPC; empty makes one of its own, isolated"),
    ] = ""
    subnetIds: Annotated[
        Names,
        _each_fits(r"subnet-[0-9a-f]+"),
        Key("ids such as subnet-0a1b,subnet-2c3d", "subnet-0a1b,subnet-2c3d", "Private subnets of that VPC"),
    ] = ()
    subnetGroup: Annotated[
        str,
        Field(pattern=r"^[a-zA-Z0-9-]{0,255}$"),
        Key("a subnet group's name", "my-subnets", "An existing ElastiCache subnet group, instead of VPC and subnets"),
    ] = ""
    vpcCidr: Annotated[
        str,
        AfterValidator(_splittable),
        Key("a private network of /16 to /26", "10.60.0.0/24", "Addresses of the VPC of its own"),
    ] = "10.60.0.0/24"
    zones: Annotated[int, Field(ge=2, le=3), Key("2 or 3", "3", "Zones of the VPC of its own")] = 2
    allowedSecurityGroups: Annotated[
        Names,
        _each_fits(r"sg-[0-9a-f]+"),
        Key("ids such as sg-0a1b", "sg-0a1b", "Whose members may connect, beside the group `clientSecurityGroupId`"),
    ] = ()
    allowedCidrs: Annotated[
        Names,
        AfterValidator(_closed),
        Key("networks of /8 or smaller (IPv6: /32), such as 10.0.0.0/16", "10.0.0.0/16", "Who else may connect"),
    ] = ()
    auth: Annotated[
        Literal["password", "iam"],
        Key("password or iam", "password", "How users log in; with iam each client signs its logins"),
    ] = "password"
    passwordGeneration: Annotated[
        int,
        Field(ge=1),
        Key("1 or more", "1", "Raise it by one to rotate: this one and the one before are valid"),
    ] = 1
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
        _one_of(LOG_DAYS),
        Key(f"one of {', '.join(map(str, LOG_DAYS))}", "30", "How long slow and engine logs stay"),
    ] = 30
    alarmEmails: Annotated[
        Names,
        _each_fits(_EMAIL.pattern),
        Key("addresses such as ops@example.org", "ops@example.org", "Who gets the alarms; each must confirm once"),
    ] = ()
    tags: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(max_length=40),  # of AWS's 50; ours and some services' own come on top
        BeforeValidator(_labels),
        AfterValidator(_not_reserved),
        Key("40 names and values at most, none that begins with aws:", "team=web", "On everything, beside our own"),
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
