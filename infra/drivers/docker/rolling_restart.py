"""Rolling restart: replicas and helpers first, then each primary after a failover."""

from __future__ import annotations

from infra.drivers.docker import roles
from infra.drivers.docker.container_deployment import ContainerDeployment


def recreate_unhealthy(deployment: ContainerDeployment) -> None:
    """Recreate unhealthy containers that a new one may repair, all at once, as they may wait for each other."""
    if services := deployment.outdated(unhealthy=True):
        deployment.recreate(*services)


def restart(deployment: ContainerDeployment) -> None:
    """Recreate containers with an outdated definition; the data stays available.

    Raises:
        ProvisioningError: a step failed; the next run resumes there.
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
