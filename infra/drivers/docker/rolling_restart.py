"""Restarts one by one: what nobody writes to first, then each primary after it has handed over."""

from __future__ import annotations

from infra.drivers.docker import roles
from infra.drivers.docker.deployment import ContainerDeployment


def recreate_unhealthy(deployment: ContainerDeployment) -> None:
    """Containers that serve nobody, and that new ones may repair; all at once, as they may wait for each other."""
    if services := deployment.outdated(unhealthy=True):
        deployment.recreate(*services)


def restart(deployment: ContainerDeployment) -> None:
    """Renew the containers of another definition than is wanted; at each moment the data is served.

    Raises:
        ProvisioningError: a step didn't come through; the next run goes on from there.
    """
    plan, executor = deployment.plan, deployment.executor
    outdated = deployment.outdated()
    nodes = [node.name for node in plan.nodes if node.name in outdated]
    for service in outdated:
        if service not in nodes:
            deployment.recreate(service)
    if not nodes:
        return
    roles.wait_until_healthy(executor, plan)
    leading = [node for node in roles.primaries(executor, plan) if node in nodes]
    for node in [name for name in nodes if name not in leading] + leading:
        if node in leading and plan.replicas:
            roles.fail_over(executor, plan, node)
        deployment.recreate(node)
        roles.wait_until_healthy(executor, plan)
