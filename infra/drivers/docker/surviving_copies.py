"""Other members that hold the data of a node that doesn't start."""

from __future__ import annotations

import time

from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.deployment_files import HOME
from infra.drivers.docker.engine import EngineError
from infra.drivers.topology import cluster, nodesconf
from infra.drivers.topology.node_executor import NodeAddress, info, reachable
from infra.drivers.topology.nodesconf import NodesConf
from infra.errors import ProvisioningError

_ASSESS = f"""\
. {HOME}/bin/holdings
assess
[ "$0" != cluster ] || is_sound "$data/nodes.conf" || {{ holding=lost reason="its nodes.conf is lost or damaged"; }}
echo "$seen $holding $reason"
"""

HIGHEST_PRIORITY = 2**31 - 1
REPLACED_PRIORITIES = (100, 101)

SLACK_SECONDS = 10
"""How much the times of two nodes' positions may differ: SLACK of container/bin/members."""


def damaged(deployment: ContainerDeployment, node: NodeAddress, *, force: bool) -> dict[str, str]:
    """The members with the same data that are damaged too, with reasons.

    force: even if another one may have more data.

    Raises:
        ProvisioningError: a healthy member has more data, or one that doesn't respond may have more.
    """
    stack = deployment.plan.stack_name
    others = _companions(deployment, node)
    healthy = reachable(deployment.executor, others)
    seen, _, _ = _assess(deployment, node)
    damaged_members = {}
    for other in healthy:
        if _last_in_sync(deployment, other) >= max(seen - SLACK_SECONDS, 1):
            raise ProvisioningError(
                f"{other.name} is healthy and has the data of {node.name}, which copies them once it is the primary",
                fix=f"make up STACK={stack}",
            )
    for other in (other for other in others if other not in healthy):
        last, holding, reason = _assess(deployment, other)
        if holding == "lost" and last > seen + SLACK_SECONDS and not force:
            raise ProvisioningError(
                f"{other.name} has later data than {node.name}, but {reason.removeprefix('its ')}",
                fix=f"make repair STACK={stack} NODE={other.name}",
            )
        if holding in {"nothing", "damaged", "short", "lost"}:
            damaged_members[other.name] = reason
        elif not force:
            raise ProvisioningError(
                f"{other.name} does not respond and may have more of the data than {node.name}",
                fix=f"make up STACK={stack}; if {other.name} is lost: the same command with FORCE=1",
            )
    return damaged_members


def nodes_confs(deployment: ContainerDeployment, node: NodeAddress) -> list[NodesConf]:
    """The nodes.conf of every other node whose container runs, if it is usable."""
    others = [other for other in deployment.plan.nodes if other != node]
    texts = [_exec(deployment, other, "cat", "/data/nodes.conf") for other in others]
    return [view for text in texts if (view := nodesconf.parse(text))]


def copies(deployment: ContainerDeployment) -> list[str]:
    """The folders with set-aside files on the nodes' volumes."""
    script = "ls -d /data/set-aside-* /data/before-repair-* 2>/dev/null || true"
    by_node = {node.name: _exec(deployment, node, "sh", "-c", script).split() for node in deployment.plan.nodes}
    return [f"{folder} of {name}" for name, folders in by_node.items() for folder in folders]


def _companions(deployment: ContainerDeployment, node: NodeAddress) -> list[NodeAddress]:
    """The other nodes that have, or should have, the same data."""
    plan = deployment.plan
    others = [other for other in plan.nodes if other != node]
    if plan.topology != "cluster":
        return others
    views = [cluster.read_nodes(deployment.executor, member.name) for member in reachable(deployment.executor, others)]
    view = max(views, key=lambda view: sum(len(entry.slots) for entry in view), default=[])  # a new node knows less
    own = max(
        (entry for entry in view if entry.address == node.address), key=lambda entry: len(entry.slots), default=None
    )
    if own is None:
        shard = plan.nodes.index(node) % plan.shards
        return [other for other in others if plan.nodes.index(other) % plan.shards == shard]
    if own.is_primary and not own.slots and plan.replicas:
        raise ProvisioningError(f"another node has taken over the slots of {node.name}", fix="make up")
    primary = own.id if own.is_primary else own.primary
    addresses = {entry.address for entry in view if primary in {entry.id, entry.primary}}
    return [other for other in others if other.address in addresses]


def _assess(deployment: ContainerDeployment, node: NodeAddress) -> tuple[int, str, str]:
    """When a node that is down was last in sync, its holding and the reason; 0 and "" if unknown."""
    output = _exec(deployment, node, "sh", "-c", _ASSESS, deployment.plan.topology).strip()
    seen, _, rest = output.partition(" ")
    holding, _, reason = rest.partition(" ")
    return int(seen or 0), holding, reason


def _last_in_sync(deployment: ContainerDeployment, other: NodeAddress) -> int:
    """When a member was last a primary or connected to one, as in container/bin/members; 0 without sound data.

    A new cluster node is a primary too, without keys. A replaced primary that has not copied yet is the earliest.
    """
    state, now = info(deployment.executor, other.name, "replication"), int(time.time())
    if state["role"] == "master":
        has_keys = deployment.plan.topology != "cluster" or info(deployment.executor, other.name, "keyspace")
        return now if has_keys else 0
    since = int(state.get("master_link_down_since_seconds", -1))
    if state["master_link_status"] == "up" or since >= 0:
        return now - max(since, 0)
    priority = int(state["slave_priority"])
    if priority in REPLACED_PRIORITIES:
        return 1
    return HIGHEST_PRIORITY - priority if priority else 0


def _exec(deployment: ContainerDeployment, node: NodeAddress, *command: str) -> str:
    """The output of a command in a node's container; "" if there is no container, or the command fails."""
    try:
        return deployment.engine.docker("exec", deployment.container(node.name), *command)
    except EngineError:
        return ""
