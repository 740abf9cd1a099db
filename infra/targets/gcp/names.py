"""Names and labels of the gcp target's resources."""

from __future__ import annotations

import hashlib
import re

from infra.settings import StackSettings
from infra.targets import context
from infra.targets.context import Context

MAX_INSTANCE_NAME_LENGTH = 40
"""Of the common prefix of all names: with the longest suffix, `-connection`, it stays below Google's limit of 63."""


def safe_name(stack: str) -> str:
    """A name that Google accepts, from project/stack."""
    return context.safe_name(stack, MAX_INSTANCE_NAME_LENGTH)


def labels(settings: StackSettings, stack: str) -> dict[str, str]:
    """The labels of every resource that supports them."""
    project, _, name = stack.partition("/")
    return {"project": _label(project), "stack": _label(name), "managed-by": "pulumi", **settings.gcp.labels}


def instance_id(context: Context) -> str:
    return context.settings.gcp.existing or context.name


def instance(context: Context) -> str:
    """The full name of the instance."""
    return f"{_location(context)}/instances/{instance_id(context)}"


def acl_policy(context: Context) -> str:
    return f"{_location(context)}/aclPolicies/{context.name}"


def network(context: Context) -> str:
    """The full name of the clients' network."""
    gcp = context.settings.gcp
    return gcp.network or f"projects/{gcp.project}/global/networks/{context.name}"


def policy(context: Context) -> str:
    """The name of the service connection policy, different for each network, since a policy cannot move."""
    digest = hashlib.sha256(network(context).encode()).hexdigest()[:6]
    return f"{context.name}-{digest}"


def user_endpoint(context: Context, network: str, subnetwork: str) -> str:
    """The common prefix of the endpoints in one of `gcp.endpointNetworks`."""
    digest = hashlib.sha256(f"{network} {subnetwork}".encode()).hexdigest()[:6]
    return f"{context.name}-{digest}"


def _location(context: Context) -> str:
    gcp = context.settings.gcp
    return f"projects/{gcp.project}/locations/{gcp.location}"


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
