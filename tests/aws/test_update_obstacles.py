"""Changes in place that AWS would reject or carry out differently: each is rejected before it begins."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.cloud.aws import service
from infra.targets.aws.elasticache import replacing_changes
from infra.targets.aws.network import removed_subnets
from infra.targets.aws.update_obstacles import find_obstacles
from tests.aws.recorded import DeployedAws

CLUSTER = {"topology": "cluster", "memory": "8gb"}
DURABLE = CLUSTER | {"aws.durability": "sync"}
SERVERLESS = {"topology": "serverless"}
PAIR = {"topology": "replicated", "memory": "8gb", "replicas": "2"}
COMPATIBLE = PAIR | {"aws.enableClusterMode": "true"}
ENABLED = COMPATIBLE | {"topology": "cluster", "shards": "1"}
WAITING = {"aws.applyImmediately": "false"}
LIMITED = SERVERLESS | {"aws.maxEcpu": "5000"}
RESERVED = SERVERLESS | {"memory": "20gb", "aws.minEcpu": "2000", "aws.minMemory": "5gb"}


def inputs(configuration: dict[str, str], **found: Any) -> dict[str, Any]:
    is_serverless = configuration.get("topology") == "serverless"
    return DeployedAws.of(configuration).one(service.SERVERLESS if is_serverless else service.GROUP) | found


def obstacles(previous: dict[str, Any], new: dict[str, Any]) -> str:
    """Those that `aws.allowReplacement` allows, and those that nothing allows."""
    found = [f"{obstacle.reason} -> {obstacle.fix}" for obstacle in find_obstacles(previous, new)]
    return "; ".join([*replacing_changes(previous, new, "engineVersion"), *found])


@pytest.mark.parametrize(
    ("previous", "new", "reason"),
    [
        (inputs(PAIR), inputs(ENABLED), "enabled in two updates.* -> pulumi config set topology replicated"),
        (inputs(COMPATIBLE), inputs(ENABLED | {"shards": "2"}), "enabled with one -> pulumi config set shards 1"),
        (inputs(COMPATIBLE), inputs(ENABLED | {"replicas": "1"}), "which are 2 -> pulumi config set replicas 2"),
        (inputs(PAIR), inputs(COMPATIBLE | {"memory": "20gb"}), "while cluster mode changes .* such as nodeType"),
        (inputs(PAIR), inputs(COMPATIBLE | {"workload": "queue"}), "such as description"),
        (inputs(COMPATIBLE), inputs(COMPATIBLE | {"memory": "20gb"}), "in compatible mode .* such as nodeType"),
        (inputs(CLUSTER | {"shards": "1"}), inputs(COMPATIBLE), "except by aws.enableClusterMode"),
        (inputs({"version": "9.0"}), inputs({"version": "8.2"}), "a downgrade from 9.0 to 8.2"),
        (inputs({}), inputs(CLUSTER), "cluster mode cannot be changed in place"),
        (inputs(CLUSTER), inputs({}), "cluster mode cannot be changed in place"),
        (
            inputs({}, transitEncryptionMode="preferred"),
            inputs({}),
            "clients may still connect without TLS -> .*-mode required",
        ),
        (inputs({}, transitEncryptionEnabled=False), inputs({}), "enable TLS first.*-mode preferred"),
        (inputs(CLUSTER, snapshotRetentionLimit=0), inputs(CLUSTER), "backups of a cluster cannot be enabled later"),
        (inputs({}, globalReplicationGroupId="g"), inputs({}), "a member of a Global Datastore"),
        (inputs(DURABLE), inputs(CLUSTER), "stays durable -> pulumi config set --path aws.durability disabled"),
        (inputs(CLUSTER), inputs(DURABLE | {"shards": "4"}), "on its own, not together with numNodeGroups"),
        (inputs(DURABLE), inputs(DURABLE | {"aws.durability": "async", "replicas": "2"}), "replicasPerNodeGroup"),
        (inputs(LIMITED), inputs(SERVERLESS), "limit of 5000 ECPU .* -> pulumi config set --path aws.maxEcpu 15000000"),
        (inputs(RESERVED), inputs(SERVERLESS), "limit of 2000 ECPU .* -> pulumi config set --path aws.minEcpu 1000"),
        (
            inputs(RESERVED),
            inputs(RESERVED | {"aws.minMemory": ""}),
            "without aws.minMemory the cache keeps its limit of 5 GB -> pulumi config set --path aws.minMemory 1gb",
        ),
        (
            inputs(WAITING),
            inputs(WAITING | {"aws.logFormat": "text"}),
            "delivery of logs only immediately.* -> pulumi config set --path aws.applyImmediately true",
        ),
        (inputs({}, engine="redis"), inputs({}), "only together with a version upgrade"),
    ],
)
def test_a_change_is_refused(previous: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    assert re.search(reason, obstacles(previous, new))


@pytest.mark.parametrize(
    ("previous", "new"),
    [
        (inputs({"version": "8.2"}), inputs({"version": "9.1"})),
        (inputs(CLUSTER), inputs(DURABLE)),
        (inputs(DURABLE), inputs(CLUSTER | {"aws.durability": "disabled"})),
        (inputs({}, snapshotRetentionLimit=0), inputs({})),
        (inputs(CLUSTER), inputs(CLUSTER, snapshotRetentionLimit=0)),
        (inputs(SERVERLESS), inputs(LIMITED)),
        (inputs(PAIR), inputs(COMPATIBLE)),
        (inputs(COMPATIBLE), inputs(COMPATIBLE)),
        (inputs(COMPATIBLE), inputs(ENABLED)),
        (inputs(ENABLED), inputs(ENABLED | {"aws.enableClusterMode": "false"})),
        (inputs({}), inputs({"aws.logFormat": "text", "aws.logFirehose": "their-logs"})),
        (inputs(LIMITED), inputs(SERVERLESS | {"aws.maxEcpu": "15000000"})),
        (inputs({"topology": "replicated"}), inputs({})),
        (inputs({}, engine="redis", engineVersion="7.1"), inputs({})),
    ],
)
def test_a_change_is_allowed(previous: dict[str, Any], new: dict[str, Any]) -> None:
    assert obstacles(previous, new) == ""


def test_subnets_with_nodes_are_not_removed() -> None:
    assert list(removed_subnets({"subnetIds": ["a", "b", "c"]}, {"subnetIds": ["a", "b"]})) == [
        "nodes of the cache may be in subnets that would be removed (c)"
    ]
    assert not list(removed_subnets({"subnetIds": ["a", "b"]}, {"subnetIds": ["a", "b", "c"]}))
    assert not list(removed_subnets({"subnetIds": ["a", "b"]}, {}))
