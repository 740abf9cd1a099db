"""Checks of updates in place that a cloud rejects halfway, or carries out only in part.

No configuration key allows them, in contrast to replacements (`replacement_guard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError
from infra.targets.previous_resources import Inputs


@dataclass(frozen=True)
class Obstacle:
    """Why an update cannot be carried out, and how to fix it."""

    reason: str
    fix: str


FindObstacles = Callable[[Inputs, Inputs], Iterable[Obstacle]]
"""Given the previous and the new inputs."""


def check_updates(name: str, find_obstacles: FindObstacles) -> pulumi.ResourceOptions:
    """The options of a resource whose previews and updates fail at the first obstacle.

    name: of the hook, unique in a stack.
    """

    def before_update(planned: ResourceHookArgs) -> None:
        for obstacle in find_obstacles(planned.old_inputs or {}, planned.new_inputs or {}):
            raise ProvisioningError(obstacle.reason, fix=obstacle.fix)

    hook = ResourceHook(name, before_update, ResourceHookOptions(on_dry_run=True))
    return pulumi.ResourceOptions(hooks=ResourceHookBinding(before_update=[hook]))
