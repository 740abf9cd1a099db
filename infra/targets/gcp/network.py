"""The network of the endpoints, and the policy that lets Memorystore make them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_gcp.networkconnectivity.service_connection_policy import ServiceConnectionPolicy

from infra.errors import ProvisioningError
from infra.settings.gcp.catalogue import NODE_PORTS, PORT
from infra.settings.gcp.network import project_of
from infra.settings.keys import put
from infra.targets.applied import in_one_line
from infra.targets.context import Context
from infra.targets.gcp import names

SERVICE_CLASS = "gcp-memorystore"
"""Memorystore for Valkey's; the one for Redis has another."""


def make(context: Context, apis: Sequence[pulumi.Resource]) -> pulumi.Resource:
    """The service connection policy, which an instance's creation needs."""
    policy: pulumi.Resource = (
        _existing_policy(context)
        if context.settings.gcp.connectionPolicy
        else _policy(context, _subnetworks(context, apis), apis)
    )
    return policy


def firewall(addresses: Sequence[str]) -> dict[str, Any]:
    """What a firewall that closes the way out has to let pass, from clients to the endpoints."""
    first, last = NODE_PORTS
    ports = [str(PORT), f"{first}-{last}"]
    return {"direction": "EGRESS", "protocol": "tcp", "ports": ports, "destinations": [f"{ip}/32" for ip in addresses]}


def _subnetworks(context: Context, apis: Sequence[pulumi.Resource]) -> Sequence[pulumi.Input[str]]:
    gcp = context.settings.gcp
    if gcp.network:
        return gcp.subnetworks
    # Loading this package takes longer than all others together.
    from pulumi_gcp.compute.network import Network
    from pulumi_gcp.compute.subnetwork import Subnetwork

    network = Network(
        "network",
        name=context.name,
        auto_create_subnetworks=False,
        project=gcp.project,
        opts=_kept(context, "the network", apis),
    )
    subnetwork = Subnetwork(
        "subnetwork",
        name=context.name,
        network=network.id,
        region=gcp.location,
        ip_cidr_range=gcp.subnetCidr,
        project=gcp.project,
        opts=_kept(context, "the subnet", []),
    )
    return [subnetwork.id]


def _kept(context: Context, what: str, apis: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(context.kept(what), pulumi.ResourceOptions(depends_on=list(apis)))


def _policy(
    context: Context, subnetworks: Sequence[pulumi.Input[str]], apis: Sequence[pulumi.Resource]
) -> ServiceConnectionPolicy:
    gcp, network = context.settings.gcp, names.network(context)
    # The API wants this number as a text.
    limit = {"limit": str(gcp.connectionLimit)} if gcp.connectionLimit else {}
    addresses: Any = {"subnetworks": subnetworks, **limit}
    return ServiceConnectionPolicy(
        "policy",
        name=names.policy(context),
        service_class=SERVICE_CLASS,
        description="Lets Memorystore make endpoints in this network",
        location=gcp.location,
        network=network,
        project=project_of(network),
        psc_config=addresses,
        labels=context.tags,
        opts=_kept(context, "the service connection policy", apis),
    )


def _existing_policy(context: Context) -> ServiceConnectionPolicy:
    """Read, not managed. It must hold for this network and for Memorystore."""
    gcp = context.settings.gcp
    # Another name than that of one of its own: the engine would delete that one as what is replaced.
    policy = ServiceConnectionPolicy.get("existing-policy", gcp.connectionPolicy, opts=context.options())

    @in_one_line
    def fits(found: Sequence[str]) -> None:
        check(gcp.network, *found)

    pulumi.Output.all(policy.network, policy.service_class).apply(fits)
    return policy


def check(network: str, found_network: str, found_class: str) -> None:
    """
    Raises:
        ProvisioningError: the policy is of another network or another service.
    """
    if found_class != SERVICE_CLASS:
        raise ProvisioningError(
            f"valkey:gcp.connectionPolicy is one for {found_class}, not for {SERVICE_CLASS}",
            fix="name the network's policy for Memorystore for Valkey",
        )
    # The API may name a project by its number, so only the network's own name can be compared.
    if found_network.rpartition("/")[2] != network.rpartition("/")[2]:
        raise ProvisioningError(
            f"valkey:gcp.connectionPolicy holds for {found_network}, not for {network}",
            fix=put("gcp.network", found_network),
        )
