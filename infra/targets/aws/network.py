"""The network of the cache: subnets, and security groups that admit only configured clients."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
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

from infra.settings import StackSettings
from infra.settings.config_keys import remove_command, set_command
from infra.targets.context import Context
from infra.targets.replacement_guard import Inputs
from infra.targets.setting_inputs import SettingInputs

SERVERLESS_PORTS = (6379, 6380)
"""Of a serverless cache: for writers and for readers."""


SubnetIds = pulumi.Input[Sequence[pulumi.Input[str]]]


@dataclass(frozen=True)
class ExistingNetwork:
    """The network before the program adds resources. Without vpc_id, a new VPC is created in these zones."""

    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """subnet_group: None for a serverless cache, which uses the subnets.
    servers: the cache's own group, to which rules are added. security_groups: all of the cache.
    clients: the group that may connect.
    """

    vpc_id: pulumi.Input[str]
    subnet_ids: SubnetIds
    subnet_group: pulumi.Input[str] | None
    servers: pulumi.Output[str]
    security_groups: pulumi.Input[Sequence[pulumi.Input[str]]]
    clients: pulumi.Output[str]


def ports(settings: StackSettings) -> tuple[int, ...]:
    """The ports of the cache."""
    return SERVERLESS_PORTS if settings.topology == "serverless" else (settings.port or SERVERLESS_PORTS[0],)


def look_up_once_known(
    inputs: SettingInputs, provider: pulumi.ProviderResource
) -> ExistingNetwork | pulumi.Output[ExistingNetwork]:
    """The configured network, or the zones of the region; an output if the network is that of other resources.

    Raises:
        ConfigurationError: as `look_up`.
    """
    found: ExistingNetwork | pulumi.Output[ExistingNetwork] = inputs.derive(
        lambda settings: look_up(settings, provider), "aws.vpcId", "aws.subnetIds", "aws.subnetGroup"
    )
    return found


def look_up(settings: StackSettings, provider: pulumi.ProviderResource) -> ExistingNetwork:
    """Query the configured network, or the zones of the region.

    Raises:
        ConfigurationError: AWS does not find it, or it does not fit the cache; no resource was registered.
    """
    aws, options = settings.aws, pulumi.InvokeOptions(provider=provider)
    try:
        if aws.subnetGroup:
            group = get_subnet_group(name=aws.subnetGroup, opts=options)
            subnet_ids, vpc_id = tuple(sorted(group.subnet_ids)), group.vpc_id
        elif aws.vpcId:
            subnet_ids, vpc_id = aws.subnetIds, aws.vpcId
        else:
            # Without this filter also Local Zones, which come first by name and lack most node types.
            regular = [{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
            zones = get_availability_zones(state="available", filters=regular, opts=options)
            return _new_network(settings, zones.names)
        subnets = [get_subnet(id=subnet, opts=options) for subnet in subnet_ids]
    except ConfigurationError:
        raise
    except Exception as problem:  # noqa: BLE001 — Pulumi's invokes raise nothing more precise
        reason = str(problem).strip().splitlines()[-1]
        raise ConfigurationError(
            f"AWS cannot look up the network: {reason}", fix="check the network keys of aws"
        ) from None
    foreign = [subnet.id for subnet in subnets if subnet.vpc_id != vpc_id]
    if foreign:
        raise ConfigurationError(
            f"aws.subnetIds: {', '.join(foreign)} are not in {vpc_id}",
            fix=set_command("aws.vpcId", subnets[0].vpc_id),
        )
    return _checked(
        settings, ExistingNetwork(vpc_id, subnet_ids, tuple(subnet.availability_zone for subnet in subnets))
    )


def spans_zones(settings: StackSettings) -> bool:
    """Whether nodes are in several zones, which needs replicas."""
    configured = settings.aws.multiZone
    return settings.replica_count > 0 if configured is None else configured


def create_network(context: Context, existing: ExistingNetwork | pulumi.Output[ExistingNetwork]) -> Network:
    """Subnets of the existing or a new VPC, and security groups that are closed to the outside."""
    vpc_id, subnet_ids = _place(context, existing)
    clients = SecurityGroup(
        context.resource("clients"),
        name=f"{context.name}-clients",
        description="Its members may connect to Valkey",
        vpc_id=vpc_id,
        tags={**context.tags, "Name": f"{context.name}-clients"},
        opts=context.protected_options("the network of the cache's clients", "vpcId"),
    )
    servers = SecurityGroup(
        context.resource("servers"),
        name=f"{context.name}-servers",
        description="Valkey: who may connect is a rule each",
        vpc_id=vpc_id,
        tags={**context.tags, "Name": f"{context.name}-servers"},
        opts=context.protected_options("the cache's security group", "vpcId"),
    )
    for port in ports(context.settings):
        _rules(context, port, servers.id, clients.id)
    group = None if context.settings.topology == "serverless" else _subnet_group(context, subnet_ids)
    return Network(vpc_id, subnet_ids, group, servers.id, _security_groups(context, servers.id), clients.id)


def _place(
    context: Context, existing: ExistingNetwork | pulumi.Output[ExistingNetwork]
) -> tuple[pulumi.Input[str], SubnetIds]:
    """The VPC and its subnets."""
    if isinstance(existing, pulumi.Output):
        return existing.apply(lambda found: found.vpc_id), existing.apply(lambda found: list(found.subnet_ids))
    return (existing.vpc_id, list(existing.subnet_ids)) if existing.vpc_id else _vpc(context, existing.zones)


def _security_groups(context: Context, own: pulumi.Output[str]) -> pulumi.Input[Sequence[pulumi.Input[str]]]:
    further = context.inputs.of("aws.securityGroups")
    if isinstance(further, pulumi.Output):
        return pulumi.Output.all(own, further).apply(lambda groups: [groups[0], *groups[1]])
    return [own, *further]


def _new_network(settings: StackSettings, zones: Sequence[str]) -> ExistingNetwork:
    count = settings.aws.zones
    if len(zones) < count:
        raise ConfigurationError(
            f"aws.zones is {count}, but {settings.aws.region} has {len(zones)} for this account",
            fix=set_command("aws.zones", str(max(2, len(zones)))),
        )
    return ExistingNetwork(zones=tuple(sorted(zones)[:count]))


def _checked(settings: StackSettings, network: ExistingNetwork) -> ExistingNetwork:
    if len(set(network.zones)) < 2 and spans_zones(settings):
        raise ConfigurationError(
            f"the subnets are all in one zone ({network.zones[0]}), but nodes need several",
            fix=set_command("aws.multiZone", "false"),
        )
    if settings.topology == "serverless" and len(set(network.zones)) < len(network.zones):
        raise ConfigurationError(
            f"two subnets are in the same zone ({', '.join(network.zones)}); a serverless cache needs different ones",
            fix=remove_command("aws.subnetIds"),
        )
    return network


def _vpc(context: Context, zones: Sequence[str]) -> tuple[pulumi.Output[str], list[pulumi.Output[str]]]:
    """Without an internet gateway: the only way in or out is a peering that the operator adds."""
    block = context.settings.aws.vpcCidr
    vpc = Vpc(
        context.resource("vpc"),
        cidr_block=block,
        enable_dns_support=True,
        enable_dns_hostnames=True,
        tags={**context.tags, "Name": context.name},
        opts=context.protected_options("the cache's VPC", "cidrBlock"),
    )
    quarters = list(ipaddress.IPv4Network(block).subnets(prefixlen_diff=2))[: len(zones)]
    # Which zones are available changes; a subnet with nodes in it stays where it is.
    stays = pulumi.ResourceOptions(ignore_changes=["availabilityZone"] if context.guard else None)
    subnets = [
        Subnet(
            context.resource(f"subnet-{number}"),
            vpc_id=vpc.id,
            cidr_block=str(quarter),
            availability_zone=zone,
            map_public_ip_on_launch=False,
            tags={**context.tags, "Name": f"{context.name}-{number}"},
            opts=context.options(stays),
        )
        for number, (quarter, zone) in enumerate(zip(quarters, zones, strict=True), 1)
    ]
    return vpc.id, [subnet.id for subnet in subnets]


def _subnet_group(context: Context, subnet_ids: SubnetIds) -> pulumi.Input[str]:
    if context.settings.aws.subnetGroup:
        configured: pulumi.Input[str] = context.inputs.of("aws.subnetGroup")
        return configured
    group = SubnetGroup(
        context.resource("subnets"),
        # Its VPC cannot change while it has nodes, so another VPC is another group, which the guard notices.
        name=context.inputs.derive(
            lambda settings: re.sub(r"[./]", "-", f"{context.name}-{settings.aws.vpcId or settings.aws.vpcCidr}"),
            "aws.vpcId",
        ),
        description="Where Valkey's nodes lie",
        subnet_ids=subnet_ids,
        tags=context.tags,
        opts=_subnet_group_options(context),
    )
    name: pulumi.Output[str] = group.name
    return name


def _subnet_group_options(context: Context) -> pulumi.ResourceOptions:
    if context.guard is None:
        return context.options()
    return context.options(context.guard.protect("the cache's subnet group", ("name",), removed_subnets))


def removed_subnets(previous: Inputs, new: Inputs) -> Iterator[str]:
    """AWS rejects the removal of a subnet with nodes in it, after other changes were made."""
    before, after = previous.get("subnetIds"), new.get("subnetIds")
    if isinstance(before, Sequence) and isinstance(after, Sequence) and len(after) < len(before):
        removed = ", ".join(sorted(set(before) - set(after)))
        yield f"nodes of the cache may be in subnets that would be removed ({removed})"


def create_ingress_rule(context: Context, name: str, port: int, servers: pulumi.Output[str], **source: Any) -> None:
    """Open a port of the servers to a source, an argument of the resource."""
    SecurityGroupIngressRule(
        context.resource(name),
        security_group_id=servers,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=context.tags,
        opts=context.options(),
        **source,
    )


def _rules(context: Context, port: int, servers: pulumi.Output[str], clients: pulumi.Output[str]) -> None:
    """An ingress rule for each source; the clients' group allows egress to the servers only."""
    aws = context.settings.aws
    sources: dict[str, dict[str, Any]] = {"clients": {"referenced_security_group_id": clients}}
    sources |= {group: {"referenced_security_group_id": group} for group in aws.allowedSecurityGroups}
    sources |= {prefixes: {"prefix_list_id": prefixes} for prefixes in aws.allowedPrefixLists}
    for network in aws.allowedCidrs:
        version = ipaddress.ip_network(network).version
        sources[network] = {f"cidr_ipv{version}": network}
    for source, match in sources.items():
        create_ingress_rule(context, f"from-{source}-{port}", port, servers, **match)
    SecurityGroupEgressRule(
        context.resource(f"to-servers-{port}"),
        security_group_id=clients,
        referenced_security_group_id=servers,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=context.tags,
        opts=context.options(),
    )
