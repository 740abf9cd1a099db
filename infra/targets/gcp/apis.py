"""The Google Cloud APIs that the other resources need."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
from pulumi_gcp.projects.service import Service

from infra.settings import StackSettings
from infra.settings.gcp.resource_names import project_of
from infra.targets.context import Context
from infra.targets.gcp import access, names

REQUIRED_APIS = (
    *("memorystore", "networkconnectivity", "serviceconsumermanagement", "compute"),
    *("monitoring", "secretmanager"),
)
NETWORK_APIS = ("networkconnectivity", "compute")
"""In the project of the network, if it is not the instance's."""


def enable_apis(context: Context) -> list[pulumi.Resource]:
    """The enabled APIs; they stay enabled when the stack is destroyed, since others may use them."""
    gcp = context.settings.gcp
    if not gcp.enableApis:
        return []
    required = [(gcp.project, api) for api in (*REQUIRED_APIS, *_optional_apis(context.settings))]
    if (owner := project_of(names.network(context))) != gcp.project:
        required += [(owner, api) for api in NETWORK_APIS]
    others = {project_of(network) for network in gcp.endpointNetworks} - {gcp.project, owner}
    required += [(project, "compute") for project in sorted(others)]
    suffixes = {**{project: f"-of-{project}" for project in others}, owner: "-of-network", gcp.project: ""}

    def enable(project: str, api: str, context: Context) -> pulumi.Resource:
        service: pulumi.Resource = Service(
            context.resource(f"api-{api}{suffixes[project]}"),
            service=f"{api}.googleapis.com",
            project=project,
            disable_on_destroy=False,
            opts=context.options(),
        )
        return service

    # A project without billing rejects all of them: one error is enough.
    first = enable(*required[0], context)
    return [first, *(enable(project, api, context.after([first])) for project, api in required[1:])]


def _optional_apis(settings: StackSettings) -> Iterator[str]:
    """The project's permissions, and a key in the same project."""
    gcp = settings.gcp
    if any(access.members(settings).values()):
        yield "cloudresourcemanager"
    if gcp.kmsKey and project_of(gcp.kmsKey) == gcp.project:
        yield "cloudkms"
