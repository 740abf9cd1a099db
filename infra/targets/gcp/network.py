"""The network of the endpoints, and the service connection policy that admits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions
from pulumi_gcp.networkconnectivity.service_connection_policy import ServiceConnectionPolicy

from infra.errors import ProvisioningError
from infra.settings.config_keys import set_command
from infra.settings.gcp.catalogue import NODE_PORTS, PORT
from infra.settings.gcp.resource_names import project_of
from infra.targets.context import Context
from infra.targets.gcp import names
from infra.targets.output_errors import as_run_error
from infra.targets.previous_resources import Inputs, PreviousResources

SERVICE_CLASS = "gcp-memorystore"
"""Of Memorystore for Valkey; the one for Redis has another."""


def create_connection_policy(context: Context, previous: PreviousResources) -> pulumi.Resource:
    """The service connection policy, which the creation of an instance requires."""
    policy: pulumi.Resource = _policy(context, _subnetworks(context, previous))
    return policy


def read_connection_policy(context: Context) -> pulumi.Output[pulumi.Resource]:
    """A policy that is read, not managed. It must belong to this network and to Memorystore.

    What depends on it waits for that check: a resource whose hook is called while the program ends with an error
    would fail too, and the engine would report that instead.

    context: without resources that don't exist before the first update, for which a preview would not read.
    """
    gcp = context.settings.gcp
    # Under the name of a managed policy the engine would delete that one as replaced.
    policy: Any = ServiceConnectionPolicy.get(
        context.resource("existing-policy"), gcp.connectionPolicy, opts=context.options()
    )

    @as_run_error
    def verified(existing: Sequence[str]) -> pulumi.Resource:
        check_policy(gcp.network, *existing)
        resource: pulumi.Resource = policy
        return resource

    return pulumi.Output.all(policy.network, policy.service_class).apply(verified)


def firewall(addresses: Sequence[str]) -> dict[str, Any]:
    """The egress rule that clients behind a closed firewall need to reach the endpoints."""
    first, last = NODE_PORTS
    ports = [str(PORT), f"{first}-{last}"]
    return {"direction": "EGRESS", "protocol": "tcp", "ports": ports, "destinations": [f"{ip}/32" for ip in addresses]}


def _subnetworks(context: Context, previous: PreviousResources) -> Sequence[pulumi.Input[str]]:
    gcp = context.settings.gcp
    if gcp.network:
        return gcp.subnetworks
    # This package takes longer to import than all others together.
    from pulumi_gcp.compute.network import Network
    from pulumi_gcp.compute.subnetwork import Subnetwork

    network = Network(
        context.resource("network"),
        name=context.name,
        auto_create_subnetworks=False,
        project=gcp.project,
        opts=context.protected_options("the network"),
    )
    subnetwork = Subnetwork(
        context.resource("subnetwork"),
        name=context.name,
        network=network.id,
        region=gcp.location,
        ip_cidr_range=gcp.subnetCidr,
        project=gcp.project,
        opts=pulumi.ResourceOptions.merge(context.protected_options("the subnet"), _immovable(context, previous)),
    )
    return [subnetwork.id]


def _immovable(context: Context, previous: PreviousResources) -> pulumi.ResourceOptions:
    """The service connection policy uses the subnet, so it cannot be deleted first, and both cannot exist at once."""

    def before_create(planned: ResourceHookArgs) -> None:
        check_subnet(previous.inputs(planned.urn), planned.new_inputs or {})

    hook = ResourceHook(
        context.resource("one place of the subnet"), before_create, ResourceHookOptions(on_dry_run=True)
    )
    return pulumi.ResourceOptions(
        delete_before_replace=False,  # else the hook would run after the deletion
        hooks=ResourceHookBinding(before_create=[hook]),
    )


def check_subnet(previous: Inputs | None, new: Inputs) -> None:
    """
    Raises:
        ProvisioningError: the subnet would move within its project, to another region or address range.
    """
    if not previous or previous.get("project") != new.get("project"):
        return
    moved = previous.get("region") != new.get("region")
    what = "to another region" if moved else "to another address range, except to a larger one that contains it"
    raise ProvisioningError(
        f"the stack's own network cannot move {what}: its subnet would be replaced and the instance's data lost",
        fix="revert the change; create another stack and restore a backup into it, or destroy this one first",
    )


def _policy(context: Context, subnetworks: Sequence[pulumi.Input[str]]) -> ServiceConnectionPolicy:
    gcp, network = context.settings.gcp, names.network(context)
    # The API expects this number as text.
    limit = {"limit": str(gcp.connectionLimit)} if gcp.connectionLimit else {}
    addresses: Any = {"subnetworks": subnetworks, **limit, **_producers(gcp.allowedProducers)}
    return ServiceConnectionPolicy(
        context.resource("policy"),
        name=names.policy(context),
        service_class=SERVICE_CLASS,
        description="Lets Memorystore make endpoints in this network",
        location=gcp.location,
        network=network,
        project=project_of(network),
        psc_config=addresses,
        labels=context.tags,
        opts=pulumi.ResourceOptions.merge(
            context.protected_options("the service connection policy"),
            # The provider would delete it first, while the instance still uses it.
            pulumi.ResourceOptions(delete_before_replace=False),
        ),
    )


def _producers(allowed: Sequence[str]) -> dict[str, Any]:
    """Whose instances the policy admits."""
    if not allowed:
        return {}
    return {
        "producer_instance_location": "CUSTOM_RESOURCE_HIERARCHY_LEVELS",
        "allowed_google_producers_resource_hierarchy_levels": list(allowed),
    }


def check_policy(network: str, policy_network: str, policy_class: str) -> None:
    """
    Raises:
        ProvisioningError: the policy belongs to another network or another service.
    """
    if policy_class != SERVICE_CLASS:
        raise ProvisioningError(
            f"gcp.connectionPolicy is for {policy_class}, not for {SERVICE_CLASS}",
            fix="use the network's policy for Memorystore for Valkey",
        )
    # The API may return the number of a project, so only the network's own name can be compared.
    if policy_network.rpartition("/")[2] != network.rpartition("/")[2]:
        raise ProvisioningError(
            f"gcp.connectionPolicy is for {policy_network}, not for {network}",
            fix=set_command("gcp.network", policy_network),
        )
