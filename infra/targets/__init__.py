"""The targets: one component each, named after where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pulumi
from valkeykit.endpoint import Endpoint

from infra.settings import Settings


class Deployment(Protocol):
    """What every target has to offer when it is up.

    passwords: of each user that has one.
    outputs: what only this target can tell, by the stack output's name.
    """

    endpoint: pulumi.Output[Endpoint]
    passwords: Mapping[str, pulumi.Output[str]]
    outputs: Mapping[str, pulumi.Input[Any]]


def provision(settings: Settings, stack: str) -> Deployment:
    """Make the target that the settings name; only its own dependencies are imported.

    Raises:
        ConfigurationError: what is asked for can't be had; nothing was registered.
    """
    if settings.target == "docker":
        from infra.targets.docker import Docker

        return Docker("valkey", settings, stack)
    from infra.targets.embedded import Embedded

    return Embedded("valkey", settings, stack)
