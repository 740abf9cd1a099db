"""Endpoints are distinguished by their types."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_gcp.memorystore.outputs import (
    InstanceEndpoint,
    InstanceEndpointConnection,
    InstanceEndpointConnectionPscAutoConnection,
    InstanceManagedServerCa,
    InstanceManagedServerCaCaCert,
    InstancePscAttachmentDetail,
)
from valkeykit.url import Node

from harness.cloud.config_strategies import load
from harness.cloud.gcp.configurations import MINIMAL
from infra.errors import ProvisioningError
from infra.targets.gcp import endpoints, user_endpoints

PRIMARY, READER, DISCOVERY = endpoints.PRIMARY, endpoints.READER, endpoints.DISCOVERY


def told(*connections: tuple[str | None, str | None, int | None]) -> list[InstanceEndpoint]:
    made = [
        InstanceEndpointConnection(
            psc_auto_connection=InstanceEndpointConnectionPscAutoConnection(
                connection_type=kind, ip_address=address, port=port
            )
        )
        for kind, address, port in connections
    ]
    return [InstanceEndpoint(connections=made)]


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_of_endpoints_does_not_matter(turned: bool) -> None:
    both = ((PRIMARY, "10.0.0.1", 6379), (READER, "10.0.0.2", None))
    found = endpoints.nodes(told(*(reversed(both) if turned else both)), (PRIMARY, READER))
    assert found == (Node("10.0.0.1", 6379), Node("10.0.0.2", 6379))


def test_an_endpoint_without_a_type_is_no_client_s() -> None:
    known = told((None, "10.0.0.1", 6379), (DISCOVERY, "10.0.0.2", 6379))
    assert endpoints.nodes(known, (DISCOVERY,)) == (Node("10.0.0.2", 6379),)
    assert endpoints.addresses(known) == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    "known",
    [
        None,
        [],
        [InstanceEndpoint(connections=None)],
        [InstanceEndpoint(connections=[InstanceEndpointConnection(psc_auto_connection=None)])],
        told((READER, "10.0.0.2", 6379)),
        told((PRIMARY, None, 6379)),
    ],
)
def test_a_missing_endpoint_is_reported(known: Any) -> None:
    with pytest.raises(ProvisioningError, match="no endpoint of type CONNECTION_TYPE_PRIMARY"):
        endpoints.nodes(known, (PRIMARY,))
    assert PRIMARY not in endpoints.addresses(known)


def test_the_order_of_attachments_does_not_matter() -> None:
    details = [
        InstancePscAttachmentDetail(connection_type=kind, service_attachment=uri)
        for kind, uri in ((None, "sa-2"), (DISCOVERY, "sa"))
    ]
    assert user_endpoints.attachments(details) == [
        user_endpoints.Attachment("sa", DISCOVERY),
        user_endpoints.Attachment("sa-2", None),
    ]
    with pytest.raises(ProvisioningError, match=r"has 0 service attachments .*gcp.maintenanceVersion MEMORYSTORE_2025"):
        user_endpoints.attachments(None)


def test_every_chain_of_every_authority_counts() -> None:
    chains = [InstanceManagedServerCaCaCert(certificates=[f" {name}\n", f"{name}-root"]) for name in ("a", "b")]
    cas = [InstanceManagedServerCa(ca_certs=chains), InstanceManagedServerCa(ca_certs=None)]
    assert endpoints.authority(cas, None) == "a\na-root\nb\nb-root\n"
    assert endpoints.authority(cas, "own") == "own"
    assert endpoints.authority(None, None) is None


def test_a_shared_authority_that_the_api_does_not_return_needs_a_file() -> None:
    shared = load(MINIMAL | {"gcp.serverCa": "shared"})
    assert endpoints.check_authority(shared, "returned") == "returned"
    assert endpoints.check_authority(load(MINIMAL), None) is None
    with pytest.raises(ProvisioningError, match=r"get-shared-regional-certificate-authority.*gcp.caFile"):
        endpoints.check_authority(shared, None)
