"""Where the cache lies, and who gets to it: nothing from outside, nobody who isn't named."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws.ec2.get_subnet import get_subnet
from pulumi_aws.ec2.security_group import SecurityGroup
from pulumi_aws.ec2.subnet import Subnet
from pulumi_aws.ec2.vpc import Vpc
from pulumi_aws.elasticache.get_subnet_group import get_subnet_group
from pulumi_aws.elasticache.subnet_group import SubnetGroup
from pulumi_aws.get_availability_zones import get_availability_zones
from pulumi_aws.vpc.security_group_egress_rule import SecurityGroupEgressRule
from pulumi_aws.vpc.security_group_ingress_rule import SecurityGroupIngressRule
from valkeykit.errors import ConfigurationError

from infra.settings import Settings
from infra.settings.keys import drop, put
from infra.targets.aws.context import Context

SERVERLESS_PORTS = (6379, 6380)
"""Of a serverless cache: its primaries and its readers."""


@dataclass(frozen=True)
class Place:
    """The network as it is before anything of ours is made. zones: None where our own VPC will have them."""

    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """subnet_group: None for a serverless cache, which takes the subnets. clients: the group whose members get in."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    subnet_group: pulumi.Input[str] | None
    servers: pulumi.Output[str]
    clients: pulumi.Output[str]


def ports(settings: Settings) -> tuple[int, ...]:
    """Where the cache answers."""
    return SERVERLESS_PORTS if settings.topology == "serverless" else (settings.port or SERVERLESS_PORTS[0],)


def look_up(settings: Settings, provider: pulumi.ProviderResource) -> Place:
    """Ask AWS what the given network is, or which zones the region has.

    Raises:
        ConfigurationError: AWS doesn't know it, or the cache can't lie there; nothing was registered.
    """
    aws, options = settings.aws, pulumi.InvokeOptions(provider=provider)
    try:
        if aws.subnetGroup:
            group = get_subnet_group(name=aws.subnetGroup, opts=options)
            subnet_ids, vpc_id = tuple(sorted(group.subnet_ids)), group.vpc_id
        elif aws.vpcId:
            subnet_ids, vpc_id = aws.subnetIds, aws.vpcId
        else:
            return _own(settings, get_availability_zones(state="available", opts=options).names)
        subnets = [get_subnet(id=subnet, opts=options) for subnet in subnet_ids]
    except ConfigurationError:
        raise
    except Exception as problem:  # noqa: BLE001 — Pulumi's invokes raise nothing more precise
        reason = str(problem).strip().splitlines()[-1]
        raise ConfigurationError(f"AWS can't look up the network: {reason}", fix="see the keys of valkey:aws") from None
    strangers = [subnet.id for subnet in subnets if subnet.vpc_id != vpc_id]
    if strangers:
        raise ConfigurationError(
            f"valkey:aws.subnetIds: {', '.join(strangers)} aren't in {vpc_id}", fix=put("aws.vpcId", subnets[0].vpc_id)
        )
    return _checked(settings, Place(vpc_id, subnet_ids, tuple(subnet.availability_zone for subnet in subnets)))


def spans_zones(settings: Settings) -> bool:
    """Whether nodes stand in several zones; only replicas can."""
    wanted = settings.aws.multiZone
    return settings.replica_count > 0 if wanted is None else wanted


def make(context: Context, place: Place) -> Network:
    """Subnets of an existing VPC or of one of our own, and security groups without a way in from outside."""
    vpc_id, subnet_ids = (place.vpc_id, place.subnet_ids) if place.vpc_id else _vpc(context, place.zones)
    clients = SecurityGroup(
        "clients",
        name=f"{context.name}-clients",
        description="Its members may connect to Valkey",
        vpc_id=vpc_id,
        tags={**context.tags, "Name": f"{context.name}-clients"},
        opts=context.kept("the network of the cache's clients", "vpcId"),
    )
    servers = SecurityGroup(
        "servers",
        name=f"{context.name}-servers",
        description="Valkey: who may connect is a rule each",
        vpc_id=vpc_id,
        tags={**context.tags, "Name": f"{context.name}-servers"},
        opts=context.kept("the cache's security group", "vpcId"),
    )
    for port in ports(context.settings):
        _rules(context, port, servers.id, clients.id)
    group = None if context.settings.topology == "serverless" else _subnet_group(context, subnet_ids)
    return Network(vpc_id, subnet_ids, group, servers.id, clients.id)


def _own(settings: Settings, zones: Sequence[str]) -> Place:
    wanted = settings.aws.zones
    if len(zones) < wanted:
        raise ConfigurationError(
            f"valkey:aws.zones is {wanted}, {settings.aws.region} has {len(zones)} for this account",
            fix=put("aws.zones", str(max(2, len(zones)))),
        )
    return Place(zones=tuple(sorted(zones)[:wanted]))


def _checked(settings: Settings, place: Place) -> Place:
    if len(set(place.zones)) < 2 and spans_zones(settings):
        raise ConfigurationError(
            f"the subnets lie in one zone only ({place.zones[0]}), and the nodes are to stand in several",
            fix=put("aws.multiZone", "false"),
        )
    if settings.topology == "serverless" and len(set(place.zones)) < len(place.zones):
        raise ConfigurationError(
            f"two subnets lie in one zone ({', '.join(place.zones)}), a serverless cache takes one of each",
            fix=drop("aws.subnetIds"),
        )
    return place


def _vpc(context: Context, zones: Sequence[str]) -> tuple[pulumi.Output[str], list[pulumi.Output[str]]]:
    """Without an internet gateway: no packet gets in or out but over a peering of the operator's."""
    block = context.settings.aws.vpcCidr
    vpc = Vpc(
        "vpc",
        cidr_block=block,
        enable_dns_support=True,
        enable_dns_hostnames=True,
        tags={**context.tags, "Name": context.name},
        opts=context.kept("the cache's VPC", "cidrBlock"),
    )
    quarters = list(ipaddress.IPv4Network(block).subnets(prefixlen_diff=2))[: len(zones)]
    subnets = [
        Subnet(
            f"subnet-{number}",
            vpc_id=vpc.id,
            cidr_block=str(quarter),
            availability_zone=zone,
            map_public_ip_on_launch=False,
            tags={**context.tags, "Name": f"{context.name}-{zone}"},
            opts=context.options(),
        )
        for number, (quarter, zone) in enumerate(zip(quarters, zones, strict=True), 1)
    ]
    return vpc.id, [subnet.id for subnet in subnets]


def _subnet_group(context: Context, subnet_ids: Sequence[pulumi.Input[str]]) -> pulumi.Input[str]:
    if context.settings.aws.subnetGroup:
        return context.settings.aws.subnetGroup
    group = SubnetGroup(
        "subnets",
        # Its VPC can't change while nodes lie there: another one is another group, which the guard sees.
        name=re.sub(r"[./]", "-", f"{context.name}-{context.settings.aws.vpcId or context.settings.aws.vpcCidr}"),
        description="Where Valkey's nodes lie",
        subnet_ids=subnet_ids,
        tags=context.tags,
        opts=context.options(),
    )
    name: pulumi.Output[str] = group.name
    return name


def _rules(context: Context, port: int, servers: pulumi.Output[str], clients: pulumi.Output[str]) -> None:
    """One rule for each who may connect; the clients' group lets out to the servers only."""
    aws = context.settings.aws
    sources: dict[str, dict[str, Any]] = {"clients": {"referenced_security_group_id": clients}}
    sources |= {group: {"referenced_security_group_id": group} for group in aws.allowedSecurityGroups}
    for network in aws.allowedCidrs:
        version = ipaddress.ip_network(network).version
        sources[network] = {f"cidr_ipv{version}": network}
    for source, match in sources.items():
        SecurityGroupIngressRule(
            f"from-{source}-{port}",
            security_group_id=servers,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            tags=context.tags,
            opts=context.options(),
            **match,
        )
    SecurityGroupEgressRule(
        f"to-servers-{port}",
        security_group_id=clients,
        referenced_security_group_id=servers,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=context.tags,
        opts=context.options(),
    )
