"""Networks and subnets that must exist, read before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.errors import ProvisioningError
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.settings.gcp.resource_names import project_of

# By its token: the SDK's package for it takes longer to import than all others together.
GET_NETWORK = "gcp:compute/getNetwork:getNetwork"


async def check_networks(settings: StackSettings, provider: pulumi.ProviderResource) -> None:
    """
    Raises:
        ProvisioningError: a network does not exist, or a subnet is not one of its own.
    """
    gcp = settings.gcp
    if gcp.network:
        await _check("gcp.network", gcp.network, "gcp.subnetworks", gcp.subnetworks, provider)
    for network, subnetwork in gcp.endpointNetworks.items():
        await _check("gcp.endpointNetworks", network, "gcp.endpointNetworks", [subnetwork], provider)


async def _check(
    key: str, network: str, subnet_key: str, subnetworks: Sequence[str], provider: pulumi.ProviderResource
) -> None:
    arguments = {"name": network.rpartition("/")[2], "project": project_of(network)}
    try:
        found = await pulumi.runtime.invoke_async(GET_NETWORK, arguments, pulumi.InvokeOptions(provider=provider))
    except Exception as problem:  # noqa: BLE001 - the SDK has no class for it
        if is_missing(str(problem)):
            raise _missing(key, network) from None
        # Without the permission to read it, Google decides when the endpoints are created.
        pulumi.log.debug(f"the network {network} cannot be read: {problem}")
        return
    check_subnetworks(network, subnet_key, subnetworks, found or {})


def is_missing(problem: str) -> bool:
    """Whether Google's error says that there is no such network, or no such project."""
    return "notFound" in problem or "Not Found" in problem or "was not found" in problem


def check_subnetworks(network: str, key: str, subnetworks: Sequence[str], found: Mapping[str, Any]) -> None:
    """
    Raises:
        ProvisioningError: a subnet belongs to another network, or does not exist.
    """
    links = found.get("subnetworksSelfLinks")
    if links is None:
        return
    existing = [f"projects/{str(link).partition('/projects/')[2]}" for link in links]
    if wrong := sorted(set(subnetworks) - set(existing)):
        raise ProvisioningError(
            f"{key} has {', '.join(wrong)}, which is not a subnet of {network}; nothing was changed",
            fix=f"gcloud compute networks subnets list --project={project_of(network)} "
            f"--network={network.rpartition('/')[2]}, then {set_command(key, '<one of them>')}",
        )


def _missing(key: str, network: str) -> ProvisioningError:
    return ProvisioningError(
        f"{key} has {network}, which does not exist; nothing was changed",
        fix=f"gcloud compute networks list --project={project_of(network)}, then {set_command(key, '<one of them>')}",
    )
