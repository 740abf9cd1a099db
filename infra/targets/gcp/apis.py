"""The APIs that the rest needs."""

from __future__ import annotations

import pulumi
from pulumi_gcp.projects.service import Service

from infra.settings.gcp.network import project_of
from infra.targets.context import Context
from infra.targets.gcp import names

OF_INSTANCE = ("memorystore", "networkconnectivity", "serviceconsumermanagement", "compute")
OF_EXTRAS = ("monitoring", "secretmanager")
OF_NETWORK = ("networkconnectivity", "compute")
"""In the project of a network that belongs to another one than the instance."""


def make(context: Context) -> list[pulumi.Resource]:
    """The enabled APIs; they stay enabled afterwards, as others may use them."""
    gcp = context.settings.gcp
    if not gcp.enableApis:
        return []
    wanted = [(gcp.project, api) for api in (*OF_INSTANCE, *OF_EXTRAS)]
    if (owner := project_of(names.network(context))) != gcp.project:
        wanted += [(owner, api) for api in OF_NETWORK]
    return [
        Service(
            f"api-{api}" if project == gcp.project else f"api-{api}-of-network",
            service=f"{api}.googleapis.com",
            project=project,
            disable_on_destroy=False,
            opts=context.options(),
        )
        for project, api in wanted
    ]
