"""Endpoints are told apart by their types; updates are one field each."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_gcp.memorystore.outputs import (
    InstanceEndpoint,
    InstanceEndpointConnection,
    InstanceEndpointConnectionPscAutoConnection,
    InstanceManagedServerCa,
    InstanceManagedServerCaCaCert,
)
from valkeykit.url import Node

from infra.errors import ProvisioningError
from infra.targets.gcp import changes, endpoints
from tests.gcp.recorded import INSTANCE, DeployedGcp

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
def test_the_order_of_endpoints_says_nothing(turned: bool) -> None:
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
def test_an_endpoint_that_isn_t_there_is_told(known: Any) -> None:
    with pytest.raises(ProvisioningError, match="no endpoint of type CONNECTION_TYPE_PRIMARY"):
        endpoints.nodes(known, (PRIMARY,))
    assert PRIMARY not in endpoints.addresses(known)


def test_every_chain_of_every_authority_counts() -> None:
    chains = [InstanceManagedServerCaCaCert(certificates=[f" {name}\n", f"{name}-root"]) for name in ("a", "b")]
    cas = [InstanceManagedServerCa(ca_certs=chains), InstanceManagedServerCa(ca_certs=None)]
    assert endpoints.authority(cas, None) == "a\na-root\nb\nb-root\n"
    assert endpoints.authority(cas, "own") == "own"
    assert endpoints.authority(None, None) is None


BEFORE = {
    "nodeType": "CUSTOM_PICO",
    "engineConfigs": {"maxmemory": "1"},
    "persistenceConfig": {"mode": "RDB"},
    "replicaCount": 1,
    "engineVersion": "VALKEY_8_0",
    "__defaults": [],
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"replicaCount": 2},
        {"labels": {"a": "b"}},
        {"nodeType": "CUSTOM_MINI", "engineConfigs": {"maxmemory": "3"}},
        {"__defaults": ["x"], "replicaCount": 2},
    ],
)
def test_one_field_or_a_node_type_with_its_limits_is_an_update(change: dict[str, Any]) -> None:
    changes.check_one_field(BEFORE, BEFORE | change)


@pytest.mark.parametrize(
    ("change", "fields", "order"),
    [
        (
            {"engineConfigs": {"maxmemory": "2"}, "persistenceConfig": {"mode": "AOF"}},
            "2 would change: persistenceConfig (valkey:gcp.persistence), engineConfigs (valkey:workload)",
            "after each: persistenceConfig; then engineConfigs",
        ),
        (
            {"shardCount": 13.0, "replicaCount": 2.0},
            "2 would change: replicaCount from 1 to 2 (valkey:replicas), shardCount from none to 13 (valkey:shards)",
            "after each: replicaCount; then shardCount",
        ),
        (
            {"engineVersion": "VALKEY_9_0", "nodeType": "CUSTOM_MINI", "engineConfigs": {}, "replicaCount": 2.0},
            "4 would change: engineConfigs (valkey:workload), nodeType from CUSTOM_PICO to CUSTOM_MINI (valkey:gcp.",
            "after each: engineConfigs with nodeType; then replicaCount; then engineVersion",
        ),
    ],
)
def test_several_fields_are_refused_with_names_and_order(change: dict[str, Any], fields: str, order: str) -> None:
    with pytest.raises(ProvisioningError) as caught:
        changes.check_one_field(BEFORE, BEFORE | change)
    assert fields in str(caught.value)
    assert order in str(caught.value)


STEPS = {
    "a cache becomes a queue": (
        {},
        ({"gcp.persistence": "aof"}, {"workload": "queue"}),
    ),
    "a dev stack becomes a prod one": (
        {},
        ({"gcp.backupDays": "7"}, {"gcp.deletionProtection": "true"}, {"environment": "prod"}),
    ),
    "a cluster gets larger nodes and more of them": (
        {"topology": "cluster", "memory": "3gb"},
        ({"memory": "20gb"}, {"shards": "13"}),
    ),
}
"""A configuration and the changes after it, as docs/gcp.md has them."""


@pytest.mark.parametrize("name", STEPS)
def test_the_documented_steps_change_one_field_each(name: str) -> None:
    configuration, steps = STEPS[name]
    former = DeployedGcp.of(configuration).one(INSTANCE)
    at_once = configuration
    for step in steps:
        configuration = configuration | step
        new = DeployedGcp.of(configuration).one(INSTANCE)
        changes.check_one_field(former, new)
        former = new
    with pytest.raises(ProvisioningError, match="one changed field per update"):
        changes.check_one_field(DeployedGcp.of(at_once).one(INSTANCE), former)


def test_every_field_of_the_service_is_known_to_the_rule() -> None:
    from harness.cloud.gcp import service

    assert set(changes.KEYS) == service.MUTABLE - {"deletionPolicy", "maintenanceVersion"}
    assert not set(changes.KEYS) & set(changes.REPLACING_INPUTS)
