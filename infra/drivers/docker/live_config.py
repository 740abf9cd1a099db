"""Live configuration: settings, users, passwords, certificates and memory of running servers."""

from __future__ import annotations

from collections.abc import Mapping

from infra import hardening
from infra.drivers.docker import deployment_files, roles
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.plan import DeploymentPlan
from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import info, is_reachable
from infra.engine_parameters import SELF_HOSTED
from infra.errors import ProvisioningError
from infra.hardening import DIRECTIVES, SENTINEL, topology_directives

_FIXED = {
    *(directive.name for directive in DIRECTIVES if not directive.live),
    *(name for name, entry in SELF_HOSTED.items() if not entry.live),
    "cluster-enabled",
    "cluster-config-file",
    "repl-diskless-sync-delay",  # a node's start script sets it
}


def directives(plan: DeploymentPlan) -> dict[str, str]:
    """The directives of a data node that can be changed live."""
    all_directives = {**plan.directives, **topology_directives(plan.topology, plan.replicas)}
    return {name: value for name, value in all_directives.items() if name not in _FIXED}


def reject_insufficient_memory(deployment: ContainerDeployment) -> None:
    """Check that the data fits into the desired memory, unless keys may be evicted.

    Raises:
        ProvisioningError: a node has more data.
    """
    desired = deployment.plan.directives
    if desired["maxmemory-policy"].startswith("allkeys-"):
        return
    for node in _running(deployment):
        used, allowed = int(info(deployment.executor, node, "memory")["used_memory"]), int(desired["maxmemory"])
        if used > allowed:
            raise ProvisioningError(
                f"{node} holds {used} bytes and may not evict them, so with {allowed} every write would fail",
                fix="pulumi config set memory <more>",
            )


def load_users(deployment: ContainerDeployment) -> None:
    """Have every running server load its users."""
    for member in (*deployment.plan.nodes, *deployment.plan.sentinels):
        if is_reachable(deployment.executor, member.name):
            deployment.executor.run(member.name, "ACL", "LOAD")


def apply(deployment: ContainerDeployment) -> None:
    """Apply live changes to every running server; the others read them when they start."""
    plan = deployment.plan
    running = _running(deployment)
    for node in running:
        _resize_container(deployment, node, grow=True)
        deployment.executor.run_many(node, _commands(plan, deployment.secrets.passwords))
        _resize_container(deployment, node, grow=False)
    sentinels = [sentinel.name for sentinel in plan.sentinels if is_reachable(deployment.executor, sentinel.name)]
    roles.correct_sentinels(deployment.executor, plan, sentinels)
    for name in sentinels:
        commands = replication.sentinel_commands(SENTINEL, deployment.secrets.passwords[SENTINEL])
        deployment.executor.run_many(name, commands)
    for name in replication.without_script(deployment.executor, sentinels):  # those that were corrected
        deployment.restart(name)


def _commands(plan: DeploymentPlan, passwords: Mapping[str, str]) -> list[tuple[str, ...]]:
    settings = [("CONFIG", "SET", name, value) for name, value in directives(plan).items()]
    certificates = [word for pair in deployment_files.CERTIFICATES for word in pair]
    commands: list[tuple[str, ...]] = [*settings, ("CONFIG", "SET", *certificates)]
    if plan.topology != "single":
        commands.append(("CONFIG", "SET", "primaryauth", passwords[hardening.REPLICA]))
    return commands


def _resize_container(deployment: ContainerDeployment, node: str, *, grow: bool) -> None:
    """Change the container's limit: it grows before the server's, and shrinks after it."""
    limit = deployment.plan.memory_limit
    container = deployment.container(node)
    (facts,) = deployment.engine.inspect("container", container)
    current = facts["HostConfig"]["Memory"]
    if (limit > current) is grow and limit != current:
        deployment.engine.docker("update", "--memory", str(limit), "--memory-swap", str(limit), container)


def _running(deployment: ContainerDeployment) -> list[str]:
    return [node.name for node in deployment.plan.nodes if is_reachable(deployment.executor, node.name)]
