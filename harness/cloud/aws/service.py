"""ElastiCache's rules across fields, which no model has: what the API refuses, and what can't be changed in place.

From the provider's source and AWS's documentation; written apart from the program, so that it can catch it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from valkeykit.version_numbers import parse_version

Inputs = Mapping[str, Any]

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"

HOLDING = (GROUP, SERVERLESS)
"""The types whose resources hold data."""

KEPT = (*HOLDING, "aws:ec2/vpc:Vpc", "aws:ec2/securityGroup:SecurityGroup", "pulumi:providers:aws")
"""The types whose replacement would take the data with it."""

RECORD = Path(__file__).parent / "replacing_inputs.json"
"""What tests/provider observed; its test compares and writes it."""

FORCES_NEW: Mapping[str, set[str]] = {
    "pulumi:providers:aws": {"region"},
    **{kind: set(names) for kind, names in json.loads(RECORD.read_text()).items()},
}
"""Inputs that the provider cannot change in place."""

REPLACED_BY_ENGINE: Mapping[str, set[str]] = {
    GROUP: {"clusterMode"},
    "aws:secretsmanager/secret:Secret": {"kmsKeyId"},
}
"""Inputs that the provider would change in place, which fails or does nothing; the engine replaces the resource."""

REMOVED_IN_PLACE: Mapping[str, set[str]] = {
    "aws:cloudwatch/logGroup:LogGroup": {"kmsKeyId"},
    "aws:sns/topic:Topic": {"kmsMasterKeyId"},
}
"""Optional inputs whose removal the provider sends (`internal/service` in its source)."""

MODES_IN_PLACE = (("disabled", "compatible"), ("compatible", "enabled"))
"""Changes of the cluster mode that AWS makes (ModifyReplicationGroup, ClusterMode)."""

VERSIONS = {"engineVersion", "majorEngineVersion"}

AT_WINDOW: Mapping[str, set[str]] = {GROUP: {"engineVersion", "nodeType", "parameterGroupName"}}
"""What waits for the maintenance window where apply_immediately is false; replica and shard counts never wait."""

_FAMILIES = {"7.2": "valkey7", "8.0": "valkey8", "8.1": "valkey8", "8.2": "valkey8", "9.0": "valkey9", "9.1": "valkey9"}
_ID = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,39}(?<!-)")


def replaces(kind: str, previous: Inputs, inputs: Inputs, changed: set[str]) -> set[str]:
    """Which of the changed inputs force a replacement, by the provider or because the program asks for it."""
    asked = changed & REPLACED_BY_ENGINE.get(kind, set())
    if (previous.get("clusterMode"), inputs.get("clusterMode")) in MODES_IN_PLACE:
        asked -= {"clusterMode"}
    return provider_replaces(kind, previous, inputs, changed) | asked


def provider_replaces(kind: str, previous: Inputs, inputs: Inputs, changed: set[str]) -> set[str]:
    """Which of the changed inputs the provider cannot change in place; a version when it goes back."""
    forced = changed & FORCES_NEW.get(kind, set())
    if previous.get("engine") == inputs.get("engine"):
        versions = changed & VERSIONS
        forced |= {name for name in versions if parse_version(inputs[name]) < parse_version(previous[name])}
    return forced


def violations(kind: str, inputs: Inputs) -> Iterator[str]:
    """What the service or the provider would refuse."""
    if kind == GROUP:
        yield from _group(inputs)
    elif kind == SERVERLESS:
        yield from _serverless(inputs)
    elif kind == "aws:elasticache/user:User":
        yield from _user(inputs)
    elif kind == "aws:elasticache/userGroup:UserGroup":
        yield from _check(_ID.fullmatch(inputs["userGroupId"]), f"user group id {inputs['userGroupId']}")
    elif kind == "aws:elasticache/parameterGroup:ParameterGroup":
        yield from _parameters(inputs)
    elif kind.startswith("aws:vpc/securityGroup"):
        yield from _rule(inputs)


def _group(inputs: Inputs) -> Iterator[str]:
    is_cluster = inputs.get("clusterMode") == "enabled"
    yield from _check(inputs.get("engine") == "valkey", "engine left out or another one: that makes a Redis")
    yield from _check(inputs.get("description"), "no description")
    yield from _check(inputs.get("nodeType"), "no node type: fails at apply only")
    yield from _check(_ID.fullmatch(inputs["replicationGroupId"]), f"id {inputs['replicationGroupId']}")
    yield from _check(re.fullmatch(r"[7-9]\.\d+", inputs["engineVersion"]), f"version {inputs['engineVersion']}")
    yield from _check(_fits(inputs), "a parameter group of another family")
    yield from _check(not ("numCacheClusters" in inputs and "numNodeGroups" in inputs), "both node counts")
    nodes = inputs.get("numCacheClusters", 1)
    if is_cluster:
        yield from _check(inputs["automaticFailoverEnabled"], "a cluster without failover")
        yield from _check(inputs["replicasPerNodeGroup"] <= 5, "more than 5 replicas")
        yield from _check(inputs["numNodeGroups"] * (1 + inputs["replicasPerNodeGroup"]) <= 500, "more than 500 nodes")
        yield from _check(inputs["parameterGroupName"].endswith("-cluster"), "a group without cluster-enabled")
    else:
        yield from _check(1 <= nodes <= 6, f"{nodes} nodes")
        if inputs.get("clusterMode") == "compatible":
            yield from _check(inputs["automaticFailoverEnabled"], "compatible mode without failover")
            yield from _check(inputs["parameterGroupName"].endswith("-cluster"), "a group without cluster-enabled")
        yield from _check(not inputs["automaticFailoverEnabled"] or nodes >= 2, "failover with one node")
    yield from _check(not inputs["multiAzEnabled"] or inputs["automaticFailoverEnabled"], "multi-AZ without failover")
    if inputs["multiAzEnabled"]:
        yield from _check(nodes >= 2 or inputs.get("replicasPerNodeGroup"), "multi-AZ without replicas")
    yield from _check("authToken" not in inputs or "userGroupIds" not in inputs, "token and user group")
    strategy = inputs.get("authTokenUpdateStrategy", "DELETE")
    yield from _check(strategy == "DELETE", "another strategy than DELETE needs a token")
    yield from _check(len(inputs.get("userGroupIds", [])) == 1, "not one user group")
    yield from _check(inputs["transitEncryptionEnabled"], "users without TLS")
    yield from _check(inputs["transitEncryptionMode"] == "required", "plain text is possible")
    yield from _check(inputs["atRestEncryptionEnabled"], "data in clear on disk")
    yield from _check(0 <= inputs["snapshotRetentionLimit"] <= 35, "backups can't be kept so long")
    yield from _check(len(inputs["logDeliveryConfigurations"]) <= 2, "more than two logs")
    yield from _check("r6gd" not in inputs["nodeType"] or inputs.get("dataTieringEnabled"), "r6gd without tiering")
    yield from _check("snapshotName" not in inputs or "snapshotArns" not in inputs, "two sources")
    if "durability" in inputs:
        is_on = inputs["durability"] != "disabled"
        yield from _check(is_cluster and (inputs["multiAzEnabled"] or not is_on), "durability without zones")
        yield from _check(inputs["engineVersion"].startswith("9."), "durability before 9.0")
        yield from _check(
            not is_on or re.match(r"cache\.([rm][678]g|c[78]gn)\.", inputs["nodeType"]), "durability on that node"
        )


def _fits(inputs: Inputs) -> bool:
    family = _FAMILIES.get(inputs["engineVersion"])
    return family is not None and family in inputs["parameterGroupName"]


def _serverless(inputs: Inputs) -> Iterator[str]:
    limits = inputs["cacheUsageLimits"]
    yield from _check(_ID.fullmatch(inputs["name"]), f"name {inputs['name']}")
    yield from _check(inputs.get("engine") == "valkey", "no engine")
    yield from _check(inputs["majorEngineVersion"] in ("7", "8", "9"), f"version {inputs['majorEngineVersion']}")
    yield from _check(1 <= limits["dataStorage"]["maximum"] <= 5000, "storage out of range")
    storage = limits["dataStorage"]
    yield from _check(1 <= storage.get("minimum", 1) <= storage["maximum"], "less storage than is reserved")
    for ecpu in limits.get("ecpuPerSeconds", []):
        yield from _check(ecpu, "a block without limits")
        least, most = ecpu.get("minimum", 1000), ecpu.get("maximum", 15_000_000)
        yield from _check(1000 <= least <= most <= 15_000_000, "ECPU out of range")
    yield from _check(2 <= len(inputs["subnetIds"]) <= 3, "not two or three subnets")
    yield from _check(0 <= inputs["snapshotRetentionLimit"] <= 35, "backups")
    yield from _check(inputs.get("userGroupId"), "no users")


def _user(inputs: Inputs) -> Iterator[str]:
    mode = inputs["authenticationMode"]
    yield from _check(_ID.fullmatch(inputs["userId"]), f"user id {inputs['userId']}")
    yield from _check(inputs["engine"] == "valkey", "a user of another engine")
    yield from _check(inputs["accessString"].startswith("on "), "a user that is off")
    restricted = re.search(r"\+(config|debug|sync|psync|replicaof|save|shutdown)\b", inputs["accessString"])
    yield from _check(not restricted, "a restricted command in an access string")
    forbidden = re.search(r"(^| )(reset|nopass|[>#<]\S+)( |$)", inputs["accessString"])
    yield from _check(not forbidden, "passwords or reset in an access string")
    if mode["type"] == "iam":
        yield from _check(inputs["userName"] == inputs["userId"], "an IAM user's name isn't its id")
        yield from _check("passwords" not in mode, "IAM with passwords")
    else:
        yield from _check(mode["type"] == "password", "a Valkey user without a password")
        yield from _check(1 <= len(mode["passwords"]) <= 2, "not one or two passwords")
        for password in mode["passwords"]:
            yield from _check(16 <= len(password) <= 128 and not set(password) & set(',"/@'), "a password")


def _parameters(inputs: Inputs) -> Iterator[str]:
    names = {parameter["name"] for parameter in inputs["parameters"]}
    impossible = {"appendonly", "appendfsync", "maxclients", "maxmemory", "requirepass", "bind", "save"}
    yield from _check(not names & impossible, f"can't be set: {names & impossible}")
    removed = {name for name in names if name.startswith("lazyfree-")}
    yield from _check(not removed, f"removed in valkey8: {removed}")
    yield from _check(len(inputs["name"]) <= 255 and inputs["family"] in inputs["name"], "a name without the family")


def _rule(inputs: Inputs) -> Iterator[str]:
    for key in ("cidrIpv4", "cidrIpv6"):
        if key in inputs:
            network = ipaddress.ip_network(inputs[key])
            yield from _check(network.prefixlen >= 8, f"open to {network}")
    sources = {"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"} & set(inputs)
    yield from _check(len(sources) == 1, f"a rule of {len(sources)} sources")


def _check(holds: object, otherwise: str) -> Iterator[str]:
    if not holds:
        yield otherwise
