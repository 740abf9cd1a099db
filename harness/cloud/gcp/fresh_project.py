"""A fresh project, in which an API answers only after it was enabled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cloud.gcp import answers

_APIS = {
    answers.INSTANCE: "memorystore",
    answers.ACL: "memorystore",
    answers.POLICY: "networkconnectivity",
    answers.NETWORK: "compute",
    answers.SUBNETWORK: "compute",
    answers.ALERT: "monitoring",
    answers.CHANNEL: "monitoring",
    answers.DASHBOARD: "monitoring",
    answers.SECRET: "secretmanager",
    answers.MEMBER: "cloudresourcemanager",
    answers.KEY_MEMBER: "cloudkms",
}


def fresh(project: str) -> dict[str, Any]:
    """The entry of a project without enabled APIs in the file of all resources."""
    return {f"projects/{project}": {"kind": "project", "inputs": {}}}


def needs_api(kind: str, inputs: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: the project is fresh, and the API was not enabled.
    """
    project = inputs.get("project") or str(inputs.get("cryptoKeyId", "projects/")).split("/")[1]
    api = _APIS.get(kind)
    if api and f"projects/{project}" in known and f"{project}/{api}.googleapis.com" not in known:
        raise ValueError(
            f"googleapi: Error 403: {api} API has not been used in project {project} before or it is disabled"
        )
