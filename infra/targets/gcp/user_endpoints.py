"""Endpoints in further networks: forwarding rules that the program creates and registers with the instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance
from pulumi_gcp.memorystore.instance_desired_user_created_endpoints import InstanceDesiredUserCreatedEndpoints

from infra.errors import ProvisioningError
from infra.settings.config_keys import set_command
from infra.settings.gcp.resource_names import project_of
from infra.targets.context import Context
from infra.targets.gcp import names
from infra.targets.output_errors import as_run_error

ATTACHMENTS = 2
"""Of an instance: the primary and the readers, or the discovery and the nodes of a cluster. Each needs an endpoint in
each network.
"""

MINIMUM_VERSION = "MEMORYSTORE_20251210_02_00"
"""The first maintenance version that supports several networks ("About multiple VPC networking")."""


@dataclass(frozen=True)
class Attachment:
    """uri: the target of forwarding rules. connection_type: None for the nodes of a cluster."""

    uri: str
    connection_type: str | None


def create_user_endpoints(context: Context, instance: Instance) -> pulumi.Output[Mapping[str, Mapping[str, str]]]:
    """By network: the address of each connection type; the one without a type has an empty name."""
    gcp = context.settings.gcp
    attached = instance.psc_attachment_details.apply(as_run_error(attachments))
    created = {
        network: [_Endpoint(context, network, subnetwork, attached, number) for number in range(ATTACHMENTS)]
        for network, subnetwork in sorted(gcp.endpointNetworks.items())
    }
    wanted: list[Any] = [{"connections": [endpoint.connection() for endpoint in group]} for group in created.values()]
    registered = InstanceDesiredUserCreatedEndpoints(
        context.resource("endpoints"),
        name=names.instance_id(context),
        region=gcp.location,
        project=gcp.project,
        desired_user_created_endpoints=wanted,
        opts=context.options(pulumi.ResourceOptions(depends_on=[instance])),
    )
    addresses = {network: [endpoint.address for endpoint in group] for network, group in created.items()}
    found: pulumi.Output[Mapping[str, Mapping[str, str]]] = pulumi.Output.all(
        attached=attached, addresses=addresses, registered=registered.id
    ).apply(lambda parts: _by_type(parts["attached"], parts["addresses"]))
    return found


def attachments(details: Sequence[Any] | None) -> list[Attachment]:
    """In an order that does not depend on the API's response, in which forwarding rules would be replaced.

    Raises:
        ProvisioningError: the instance does not support endpoints in several networks.
    """
    found = [Attachment(str(known.service_attachment), known.connection_type or None) for known in details or ()]
    if len(found) != ATTACHMENTS:
        raise ProvisioningError(
            f"the instance has {len(found)} service attachments instead of {ATTACHMENTS}, so it does not support "
            f"gcp.endpointNetworks; maintenance version {MINIMUM_VERSION} or newer is needed",
            fix=set_command("gcp.maintenanceVersion", MINIMUM_VERSION),
        )
    return sorted(found, key=lambda attachment: attachment.uri)


def _by_type(attached: Sequence[Attachment], addresses: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    types = [attachment.connection_type or "" for attachment in attached]
    return {network: dict(zip(types, ips, strict=True)) for network, ips in addresses.items()}


class _Endpoint:
    """An address and a forwarding rule, in the network's project. Another subnet gets another endpoint."""

    def __init__(
        self,
        context: Context,
        network: str,
        subnetwork: str,
        attached: pulumi.Output[list[Attachment]],
        number: int,
    ) -> None:
        # This package takes longer to import than all others together.
        from pulumi_gcp.compute.address import Address
        from pulumi_gcp.compute.forwarding_rule import ForwardingRule

        name = f"{names.user_endpoint(context, network, subnetwork)}-{number}"
        digest = name.removeprefix(f"{context.name}-")
        common: dict[str, Any] = {
            "name": name,
            "region": context.settings.gcp.location,
            "project": project_of(network),
            "opts": context.options(),
        }
        reserved = Address(
            context.resource(f"address-{digest}"),
            subnetwork=subnetwork,
            address_type="INTERNAL",
            purpose="GCE_ENDPOINT",
            labels=context.tags,
            **common,
        )
        self._network = network
        self._attachment = attached.apply(lambda known: known[number].uri)
        self._rule = ForwardingRule(
            context.resource(f"rule-{digest}"),
            network=network,
            ip_address=reserved.id,
            load_balancing_scheme="",  # as the API expects it for Private Service Connect
            target=self._attachment,
            **common,
        )
        self.address: pulumi.Output[str] = reserved.address

    def connection(self) -> dict[str, Any]:
        return {
            "psc_connection": {
                "psc_connection_id": self._rule.psc_connection_id,
                "ip_address": self.address,
                "forwarding_rule": self._rule.id,
                "network": self._network,
                "service_attachment": self._attachment,
            }
        }
