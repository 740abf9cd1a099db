"""Memorystore's rules that no message of the API holds, and what the provider replaces. From its documentation and the
provider's source; not tried on a live project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from harness.cloud.gcp.answers import (
    ACL,
    ADDRESS,
    ALERT,
    INSTANCE,
    MEMBER,
    NETWORK,
    POLICY,
    RULE,
    SECRET,
    SECRET_VERSION,
    SERVICE,
    SUBNETWORK,
    USER_ENDPOINTS,
)

Inputs = Mapping[str, Any]

HOLDING = (INSTANCE,)

KEPT = (INSTANCE, NETWORK, SUBNETWORK, POLICY)
"""What the guard keeps from being replaced."""

ENDPOINTS = "desiredAutoCreatedEndpoints"

MUTABLE = {
    *("labels", "deletionProtectionEnabled", "maintenancePolicy", "automatedBackupConfig", "persistenceConfig"),
    *("engineConfigs", "nodeType", "replicaCount", "shardCount", "engineVersion", "aclPolicy"),
    *("crossInstanceReplicationConfig", "deletionPolicy", "maintenanceVersion"),
}
"""Of an instance; everything else is `immutable` in the provider's source."""

FORCES_NEW: Mapping[str, set[str]] = {
    ACL: {"aclPolicyId", "location", "project"},
    POLICY: {"location", "name", "network", "project", "serviceClass"},
    SERVICE: {"service", "project"},
    MEMBER: {"project", "role", "member", "condition"},
    NETWORK: {"name", "autoCreateSubnetworks", "project"},
    SUBNETWORK: {"name", "network", "region", "project"},
    ADDRESS: {"name", "subnetwork", "addressType", "purpose", "region", "project"},
    RULE: {"name", "network", "ipAddress", "loadBalancingScheme", "region", "project"},
    USER_ENDPOINTS: {"project"},
    SECRET: {"secretId", "project", "replication"},
    SECRET_VERSION: {"secret", "secretData"},
}

OTHER_PROJECT = "invalid argument pscAutoConnection.project_id shall be the same as the consumer project"

_ENGINE_CONFIGS = {
    *("maxmemory", "maxmemory-clients", "maxmemory-policy", "notify-keyspace-events", "slowlog-log-slower-than"),
    *("maxclients", "databases", "cluster-databases"),
}
_CLIENTS = {"SHARED_CORE_NANO": 5_000, "STANDARD_SMALL": 32_000}
_WRITABLE_GIGABYTES = {
    "SHARED_CORE_NANO": 1.12,
    "CUSTOM_PICO": 1.08,
    "CUSTOM_MICRO": 2,
    "CUSTOM_MINI": 3,
    "STANDARD_SMALL": 5.2,
    "HIGHMEM_MEDIUM": 10.4,
    "HIGHCPU_MEDIUM": 10.4,
    "STANDARD_LARGE": 20.8,
    "HIGHMEM_XLARGE": 46.4,
    "HIGHMEM_2XLARGE": 88,
}


def replaces(kind: str, previous: Inputs, inputs: Inputs, changed: set[str]) -> set[str]:
    """Which of the changed inputs force a replacement; a subnet can only grow in place."""
    if kind == INSTANCE:
        # Of the list of endpoints only its length forces a replacement; its items are updated, with no request.
        same_length = len(previous[ENDPOINTS]) == len(inputs[ENDPOINTS])
        return changed - MUTABLE - ({ENDPOINTS} if same_length else set())
    forced = changed & FORCES_NEW.get(kind, set())
    if kind == SUBNETWORK and "ipCidrRange" in changed:
        before, after = (ip_network(known["ipCidrRange"]) for known in (previous, inputs))
        forced |= set() if before.subnet_of(after) else {"ipCidrRange"}  # type: ignore[arg-type]
    return forced


def violations(kind: str, inputs: Inputs) -> Iterator[str]:
    """What the service would refuse, or take and not mean."""
    if kind == INSTANCE:
        yield from _instance(inputs)
    elif kind == ACL:
        yield from _check(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", inputs["aclPolicyId"]), "ACL policy's id")
        yield from _check(all(rule["rule"].startswith("on ") for rule in inputs["rules"]), "a rule that is off")
        yield from _check(not any(">" in rule["rule"] for rule in inputs["rules"]), "a password in a rule")
        names = [rule["username"] for rule in inputs["rules"]]
        yield from _check(len(set(names)) == len(names), "a user twice")
    elif kind == POLICY and "location" in inputs:
        yield from _check(inputs["serviceClass"] == "gcp-memorystore", "another service's class")
        yield from _check(_is_network(inputs["network"]), f"network {inputs['network']}")
        yield from _check(isinstance(inputs["pscConfig"].get("limit", ""), str), "a limit that is no text")
        yield from _check(inputs["pscConfig"]["subnetworks"], "a policy without subnets")
    elif kind == MEMBER:
        yield from _check(re.match(r"(user|serviceAccount):", inputs["member"]), "a member that can't log in")
        yield from _check("resource.name ==" in inputs["condition"]["expression"], "a grant for all instances")
    elif kind == ADDRESS:
        purpose = inputs["addressType"], inputs["purpose"]
        yield from _check(purpose == ("INTERNAL", "GCE_ENDPOINT"), f"an address for {purpose}")
    elif kind == RULE:
        yield from _check(inputs["loadBalancingScheme"] == "", "a rule that is no endpoint")
        yield from _check("/serviceAttachments/" in inputs["target"], f"target {inputs['target']}")
    elif kind == USER_ENDPOINTS:
        yield from _user_endpoints(inputs)
    elif kind == ALERT:
        yield from _alert(inputs)


def _instance(inputs: Inputs) -> Iterator[str]:
    unknown = {name for name in inputs if "_" in name}
    yield from _check(not unknown, f"names of another style: {unknown}")
    yield from _check(re.fullmatch(r"[a-z][a-z0-9-]{2,61}[a-z0-9]", inputs["instanceId"]), "the instance's id")
    yield from _check(inputs["mode"] in ("CLUSTER", "CLUSTER_DISABLED"), f"mode {inputs['mode']}")
    yield from _check(re.fullmatch(r"VALKEY_(7_2|8_0|9_0|9_1)", inputs["engineVersion"]), inputs["engineVersion"])
    counts = inputs["shardCount"], inputs["replicaCount"]
    yield from _check(all(type(count) is int for count in counts), "a count that is no number")
    if not all(type(count) is int for count in counts):
        return
    shards, replicas = counts
    yield from _check(replicas <= 5, f"{replicas} replicas")
    yield from _check(shards * (1 + replicas) <= 250, f"{shards * (1 + replicas)} nodes")
    if inputs["mode"] == "CLUSTER_DISABLED":
        yield from _check(shards == 1, "several shards without a cluster")
    else:
        yield from _check(not inputs["nodeType"].startswith("CUSTOM_"), f"{inputs['nodeType']} in a cluster")
    yield from _configs(inputs)
    yield from _times(inputs)
    yield from _encryption(inputs)
    yield from _check("desiredPscAutoConnections" not in inputs, "the deprecated argument, which replaces")
    (endpoint,) = inputs["desiredAutoCreatedEndpoints"]
    yield from _check(_is_network(endpoint["network"]), f"network {endpoint['network']}")
    yield from _check(endpoint["projectId"] == inputs["project"], OTHER_PROJECT)
    yield from _check(not ("gcsSource" in inputs and "managedBackupSource" in inputs), "two sources")
    if inputs["zoneDistributionConfig"]["mode"] == "SINGLE_ZONE":
        zone = inputs["zoneDistributionConfig"].get("zone", "")
        yield from _check(zone.startswith(f"{inputs['location']}-"), f"zone {zone}")
    if "kmsKey" in inputs:
        yield from _check(f"/locations/{inputs['location']}/" in inputs["kmsKey"], "a key of another location")


def _user_endpoints(inputs: Inputs) -> Iterator[str]:
    for endpoint in inputs["desiredUserCreatedEndpoints"]:
        connections = [known["pscConnection"] for known in endpoint["connections"]]
        yield from _check(len({known["network"] for known in connections}) == 1, "an endpoint in several networks")
        attached = {known["serviceAttachment"] for known in connections}
        yield from _check(len(attached) == len(connections) == 2, "an endpoint without each service attachment")


def _configs(inputs: Inputs) -> Iterator[str]:
    configs, node = inputs["engineConfigs"], inputs["nodeType"]
    yield from _check(set(configs) <= _ENGINE_CONFIGS, f"engine configs {set(configs) - _ENGINE_CONFIGS}")
    yield from _check(all(isinstance(value, str) for value in configs.values()), "a config that is no text")
    yield from _check(int(configs["maxclients"]) <= _CLIENTS.get(node, 64_000), f"{configs['maxclients']} clients")
    yield from _check(int(configs["maxmemory"]) <= _WRITABLE_GIGABYTES[node] * 1000**3, "maxmemory above the node's")


def _times(inputs: Inputs) -> Iterator[str]:
    windows = inputs["maintenancePolicy"]["weeklyMaintenanceWindows"]
    yield from _check(len(windows) <= 1, "several windows")
    if backup := inputs.get("automatedBackupConfig"):
        seconds = int(backup["retention"].removesuffix("s"))
        yield from _check(86_400 <= seconds <= 31_536_000, f"retention {seconds}s")
        hour = backup["fixedFrequencySchedule"]["startTime"]["hours"]
        # The provider leaves an hour of 0 out, and then the empty schedule around it.
        yield from _check(1 <= hour <= 23, f"hour {hour} of backups")
    for window in windows:
        yield from _check(0 <= window["startTime"]["hours"] <= 23, f"hour {window['startTime']['hours']}")


def _encryption(inputs: Inputs) -> Iterator[str]:
    encrypted = inputs["transitEncryptionMode"] == "SERVER_AUTHENTICATION"
    yield from _check(encrypted or inputs["authorizationMode"] != "IAM_AUTH", "IAM without TLS")
    yield from _check(encrypted or "serverCaMode" not in inputs, "an authority without TLS")
    customer = inputs.get("serverCaMode") == "CUSTOMER_MANAGED_CAS_CA"
    yield from _check(customer == ("serverCaPool" in inputs), "a customer's authority without its pool")


def _alert(inputs: Inputs) -> Iterator[str]:
    (condition,) = inputs["conditions"]
    threshold = condition["conditionThreshold"]
    words = {"ALIGN_MAX", "ALIGN_MIN", "ALIGN_DELTA"}
    yield from _check({a["perSeriesAligner"] for a in threshold["aggregations"]} <= words, "an unknown aligner")
    yield from _check(threshold["comparison"] in ("COMPARISON_GT", "COMPARISON_LT"), "an unknown comparison")
    yield from _check(int(threshold["duration"].removesuffix("s")) % 60 == 0, "a duration that is no whole minute")


def _is_network(name: str) -> object:
    return re.fullmatch(r"projects/[a-z0-9-]+/global/networks/[a-z0-9-]+", name)


def _check(holds: object, otherwise: str) -> Iterator[str]:
    if not holds:
        yield otherwise
