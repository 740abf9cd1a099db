"""The network of the endpoints, and the service connection policy that admits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_gcp.networkconnectivity.service_connection_policy import ServiceConnectionPolicy

from infra.errors import ProvisioningError
from infra.settings.gcp.catalogue import NODE_PORTS, PORT
from infra.settings.gcp.resource_names import project_of
from infra.settings.keys import set_command
from infra.targets.context import Context
from infra.targets.gcp import names
from infra.targets.output_errors import as_run_error

SERVICE_CLASS = "gcp-memorystore"
"""Of Memorystore for Valkey; the one for Redis has another."""


def create_connection_policy(context: Context, apis: Sequence[pulumi.Resource]) -> pulumi.Input[pulumi.Resource]:
    """The service connection policy, which the creation of an instance requires."""
    if context.settings.gcp.connectionPolicy:
        return _existing_policy(context)
    policy: pulumi.Resource = _policy(context, _subnetworks(context, apis), apis)
    return policy


def firewall(addresses: Sequence[str]) -> dict[str, Any]:
    """The egress rule that clients behind a closed firewall need to reach the endpoints."""
    first, last = NODE_PORTS
    ports = [str(PORT), f"{first}-{last}"]
    return {"direction": "EGRESS", "protocol": "tcp", "ports": ports, "destinations": [f"{ip}/32" for ip in addresses]}


def _subnetworks(context: Context, apis: Sequence[pulumi.Resource]) -> Sequence[pulumi.Input[str]]:
    gcp = context.settings.gcp
    if gcp.network:
        return gcp.subnetworks
    # This package takes longer to import than all others together.
    from pulumi_gcp.compute.network import Network
    from pulumi_gcp.compute.subnetwork import Subnetwork

    network = Network(
        "network",
        name=context.name,
        auto_create_subnetworks=False,
        project=gcp.project,
        opts=_protected_options(context, "the network", apis),
    )
    subnetwork = Subnetwork(
        "subnetwork",
        name=context.name,
        network=network.id,
        region=gcp.location,
        ip_cidr_range=gcp.subnetCidr,
        project=gcp.project,
        opts=_protected_options(context, "the subnet", []),
    )
    return [subnetwork.id]


def _protected_options(context: Context, what: str, apis: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(context.protected_options(what), pulumi.ResourceOptions(depends_on=list(apis)))


def _policy(
    context: Context, subnetworks: Sequence[pulumi.Input[str]], apis: Sequence[pulumi.Resource]
) -> ServiceConnectionPolicy:
    gcp, network = context.settings.gcp, names.network(context)
    # The API expects this number as text.
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
        opts=_protected_options(context, "the service connection policy", apis),
    )


def _existing_policy(context: Context) -> pulumi.Output[pulumi.Resource]:
    """A policy that is read, not managed. It must belong to this network and to Memorystore.

    What depends on it waits for that check: a resource whose hook is called while the program ends with an error
    would fail too, and the engine would report that instead.
    """
    gcp = context.settings.gcp
    # Under the name of a managed policy the engine would delete that one as replaced.
    policy: Any = ServiceConnectionPolicy.get("existing-policy", gcp.connectionPolicy, opts=context.options())

    @as_run_error
    def verified(existing: Sequence[str]) -> pulumi.Resource:
        check_policy(gcp.network, *existing)
        resource: pulumi.Resource = policy
        return resource

    return pulumi.Output.all(policy.network, policy.service_class).apply(verified)


def check_policy(network: str, policy_network: str, policy_class: str) -> None:
    """
    Raises:
        ProvisioningError: the policy belongs to another network or another service.
    """
    if policy_class != SERVICE_CLASS:
        raise ProvisioningError(
            f"valkey:gcp.connectionPolicy is for {policy_class}, not for {SERVICE_CLASS}",
            fix="use the network's policy for Memorystore for Valkey",
        )
    # The API may return the number of a project, so only the network's own name can be compared.
    if policy_network.rpartition("/")[2] != network.rpartition("/")[2]:
        raise ProvisioningError(
            f"valkey:gcp.connectionPolicy is for {policy_network}, not for {network}",
            fix=set_command("gcp.network", policy_network),
        )
