"""What needs what in Google: an instance its policy, a policy its subnets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.cloud.gcp import answers, service

Inputs = Mapping[str, Any]
Stored = Mapping[str, Mapping[str, Any]]
"""All resources by id, with kind and inputs."""


def needs_policy(instance: Inputs, known: Stored) -> None:
    (endpoint,) = instance[service.ENDPOINTS]
    if not _policies(instance["location"], endpoint["network"], known):
        raise ValueError(f"googleapi: Error 400: no service connection policy for {endpoint['network']}")


def needs_grants(instance: Inputs, known: Stored) -> None:
    pools = [grant["caPool"] for _, grant in _of(answers.POOL_MEMBER, known)]
    if (pool := instance.get("serverCaPool")) and pool not in pools:
        raise ValueError(f"googleapi: Error 400: the service agent may not request certificates from {pool}")


def only_one(policy: Inputs, known: Stored) -> None:
    if _policies(policy["location"], policy["network"], known):
        raise ValueError("googleapi: Error 409: the network has a policy for gcp-memorystore in this region")


def unused(kind: str, resource: str, inputs: Inputs, known: Stored) -> None:
    """
    Raises:
        ValueError: something else uses the resource.
    """
    if kind in _USES:
        user_kind, is_used = _USES[kind]
        for user, user_inputs in _of(user_kind, known):
            if is_used(user_inputs, resource, inputs):
                raise ValueError(f"googleapi: Error 400: {resource} is already being used by {user}")


def _policy_is_used(instance: Inputs, _resource: str, policy: Inputs) -> bool:
    (endpoint,) = instance[service.ENDPOINTS]
    return bool(instance["location"] == policy["location"] and endpoint["network"] == policy["network"])


def _address_is_used(rule: Inputs, resource: str, _address: Inputs) -> bool:
    return bool(rule["ipAddress"] == resource)


def _instance_is_used(endpoints: Inputs, _resource: str, instance: Inputs) -> bool:
    return bool((endpoints["name"], endpoints["region"]) == (instance["instanceId"], instance["location"]))


_USES: Mapping[str, tuple[str, Callable[[Inputs, str, Inputs], bool]]] = {
    answers.POLICY: (answers.INSTANCE, _policy_is_used),
    answers.SUBNETWORK: (answers.POLICY, lambda policy, subnet, _: subnet in policy["pscConfig"]["subnetworks"]),
    answers.NETWORK: (answers.SUBNETWORK, lambda subnet, network, _: subnet["network"] == network),
    answers.ADDRESS: (answers.RULE, _address_is_used),
    answers.INSTANCE: (answers.USER_ENDPOINTS, _instance_is_used),
    answers.ACL: (answers.INSTANCE, lambda instance, policy, _: instance.get("aclPolicy") == policy),
}
"""By type: the type that uses it, and whether one does."""


def _of(kind: str, known: Stored) -> Iterator[tuple[str, Inputs]]:
    return ((resource, stored["inputs"]) for resource, stored in known.items() if stored["kind"] == kind)


def _policies(location: str, network: str, known: Stored) -> list[str]:
    return [
        resource
        for resource, policy in _of(answers.POLICY, known)
        if policy["location"] == location
        and policy["network"].rpartition("/")[2] == network.rpartition("/")[2]
        and policy["serviceClass"] == "gcp-memorystore"
    ]
