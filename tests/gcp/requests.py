"""Requests to Memorystore's API for an instance or an ACL policy, parsed into the API's own messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.cloud import memorystore_v1beta as api
from google.protobuf import json_format

Inputs = Mapping[str, Any]


def instance(inputs: Inputs) -> Any:
    """The request's instance; `inputs` are the provider's.

    Raises:
        json_format.ParseError: the API knows no such field, or no such word.
    """
    return _parse(api.Instance, _instance(inputs))


def acl_policy(inputs: Inputs) -> Any:
    """The request's ACL policy."""
    rest = {name: value for name, value in inputs.items() if name not in ("aclPolicyId", "location", "project")}
    return _parse(api.AclPolicy, rest)


def user_endpoints(inputs: Inputs) -> Any:
    """The request's instance: the endpoints are one of its fields."""
    return _parse(api.Instance, {"endpoints": inputs["desiredUserCreatedEndpoints"]})


def problems(kind: str, inputs: Inputs) -> list[str]:
    """What the API's messages have against a resource; nothing for types that aren't Memorystore's."""
    parse = {
        "gcp:memorystore/instance:Instance": instance,
        "gcp:memorystore/aclPolicy:AclPolicy": acl_policy,
        "gcp:memorystore/instanceDesiredUserCreatedEndpoints:InstanceDesiredUserCreatedEndpoints": user_endpoints,
    }.get(kind)
    try:
        if parse:
            parse(inputs)
    except json_format.ParseError as problem:
        return [str(problem)]
    return []


def _instance(inputs: Inputs) -> dict[str, Any]:
    """The provider's names become the API's: the place goes into the URL, some fields are nested otherwise."""
    body = {name: value for name, value in inputs.items() if value is not None}
    body["name"] = "projects/{project}/locations/{location}/instances/{instanceId}".format(**body)
    for name in ("instanceId", "location", "project", "deletionPolicy"):
        body.pop(name, None)
    if "desiredAutoCreatedEndpoints" in body:
        wanted = body.pop("desiredAutoCreatedEndpoints")
        body["endpoints"] = [{"connections": [{"pscAutoConnection": connection} for connection in wanted]}]
    if "maintenancePolicy" in body:
        policy = dict(body["maintenancePolicy"])
        policy["weeklyMaintenanceWindow"] = policy.pop("weeklyMaintenanceWindows")
        body["maintenancePolicy"] = policy
    if "automatedBackupConfig" in body:
        body["automatedBackupConfig"] = body["automatedBackupConfig"] | {"automatedBackupMode": "ENABLED"}
    return body


def _parse(message: Any, body: dict[str, Any]) -> Any:
    return message(json_format.ParseDict(body, message.pb(message())))
