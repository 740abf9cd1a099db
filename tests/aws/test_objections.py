"""Changes in place that AWS would reject or carry out differently: each is refused by the guard."""

from __future__ import annotations

from typing import Any

import pytest

from infra.targets.aws.elasticache import rejected_changes
from infra.targets.aws.network import removed_subnets
from tests.aws.recorded import DeployedAws

CLUSTER = {"topology": "cluster", "memory": "8gb"}
DURABLE = CLUSTER | {"aws.durability": "sync"}
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"


def inputs(configuration: dict[str, str], **found: Any) -> dict[str, Any]:
    return DeployedAws.of(configuration).one(GROUP) | found


def objections(previous: dict[str, Any], new: dict[str, Any]) -> str:
    return "; ".join(rejected_changes(previous, new, "engineVersion"))


@pytest.mark.parametrize(
    ("previous", "new", "reason"),
    [
        (inputs({"version": "9.0"}), inputs({"version": "8.2"}), "a downgrade from 9.0 to 8.2"),
        (inputs({}), inputs(CLUSTER), "cluster mode cannot be changed in place"),
        (inputs(CLUSTER), inputs({}), "cluster mode cannot be changed in place"),
        (inputs({}, transitEncryptionMode="preferred"), inputs({}), "clients may still connect without TLS"),
        (inputs({}, transitEncryptionEnabled=False), inputs({}), "enable TLS first"),
        (inputs(CLUSTER, snapshotRetentionLimit=0), inputs(CLUSTER), "backups of a cluster cannot be enabled later"),
        (inputs({}, globalReplicationGroupId="g"), inputs({}), "a member of a Global Datastore"),
        (inputs(DURABLE), inputs(CLUSTER), "set it to disabled"),
        (inputs(CLUSTER), inputs(DURABLE | {"shards": "4"}), "on its own, not together with numNodeGroups"),
        (inputs(DURABLE), inputs(DURABLE | {"aws.durability": "async", "replicas": "2"}), "replicasPerNodeGroup"),
    ],
)
def test_a_change_is_refused(previous: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    assert reason in objections(previous, new)


@pytest.mark.parametrize(
    ("previous", "new"),
    [
        (inputs({"version": "8.2"}), inputs({"version": "9.1"})),
        (inputs(CLUSTER), inputs(DURABLE)),
        (inputs(DURABLE), inputs(CLUSTER | {"aws.durability": "disabled"})),
        (inputs({}, snapshotRetentionLimit=0), inputs({})),
        (inputs(CLUSTER), inputs(CLUSTER, snapshotRetentionLimit=0)),
        (inputs({"topology": "replicated"}), inputs({})),
        (inputs({}, engine="redis", engineVersion="7.1"), inputs({})),
    ],
)
def test_a_change_is_allowed(previous: dict[str, Any], new: dict[str, Any]) -> None:
    assert objections(previous, new) == ""


def test_subnets_with_nodes_are_not_removed() -> None:
    assert list(removed_subnets({"subnetIds": ["a", "b", "c"]}, {"subnetIds": ["a", "b"]})) == [
        "nodes of the cache may be in subnets that would be removed (c)"
    ]
    assert not list(removed_subnets({"subnetIds": ["a", "b"]}, {"subnetIds": ["a", "b", "c"]}))
    assert not list(removed_subnets({"subnetIds": ["a", "b"]}, {}))
