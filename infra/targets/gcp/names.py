"""Names: what all others begin with, the labels, and the full names that follow from the settings."""

from __future__ import annotations

import hashlib
import re

from infra.settings import Settings
from infra.targets import context
from infra.targets.context import Context

NAME_LENGTH = 40
"""With the longest ending, `-connection`, it stays below the 63 that Google's names may have."""


def safe_name(stack: str) -> str:
    """A name for Google from project/stack."""
    return context.safe_name(stack, NAME_LENGTH)


def labels(settings: Settings, stack: str) -> dict[str, str]:
    """The labels of every resource that can have some."""
    project, _, name = stack.partition("/")
    return {"project": _label(project), "stack": _label(name), "managed-by": "pulumi", **settings.gcp.labels}


def instance(context: Context) -> str:
    """The instance's full name."""
    return f"{_place(context)}/instances/{context.name}"


def acl_policy(context: Context) -> str:
    return f"{_place(context)}/aclPolicies/{context.name}"


def network(context: Context) -> str:
    """Of the network in which clients are."""
    gcp = context.settings.gcp
    return gcp.network or f"projects/{gcp.project}/global/networks/{context.name}"


def policy(context: Context) -> str:
    """Of the service connection policy. The same one can't move to another network, so each network's has its own."""
    digest = hashlib.sha256(network(context).encode()).hexdigest()[:6]
    return f"{context.name}-{digest}"


def _place(context: Context) -> str:
    gcp = context.settings.gcp
    return f"projects/{gcp.project}/locations/{gcp.location}"


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
