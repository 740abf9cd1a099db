"""Lost slots: slots of a cluster whose nodes were all replaced, so that an empty node must take them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from infra.drivers.docker import surviving_copies
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.topology import cluster
from infra.drivers.topology.cluster import SLOTS, ClusterNode
from infra.drivers.topology.node_executor import CommandRejectedError, NodeAddress, NotRespondingError, info
from infra.errors import ProvisioningError


@dataclass(frozen=True)
class LostSlots:
    """slots: those without a node. ids: of the lost nodes that had them, as far as the other nodes know."""

    slots: frozenset[int]
    ids: frozenset[str]

    def __str__(self) -> str:
        ends = cluster.slot_ranges(sorted(self.slots))
        spans = ", ".join(f"{first}-{last}" for first, last in zip(ends[::2], ends[1::2], strict=True))
        return f"the slots {spans} are lost: no remaining node has their data"


def find(deployment: ContainerDeployment, node: NodeAddress) -> LostSlots | None:
    """The lost slots that a node without slots can take; None if no slots are lost, or a member doesn't respond.

    Raises:
        ProvisioningError: it has other slots, or is a replica.
    """
    plan, executor = deployment.plan, deployment.executor
    if plan.topology != "cluster":
        return None
    try:
        views = {member.name: cluster.read_nodes(executor, member.name) for member in plan.nodes}
    except (CommandRejectedError, NotRespondingError):
        return None
    own = {name: next(entry for entry in view if "myself" in entry.flags) for name, view in views.items()}
    live = {entry.id for entry in own.values()}
    missing = frozenset(range(SLOTS)).difference(*(entry.slots for entry in own.values() if entry.is_primary))
    lost = {entry.id: entry.slots for view in views.values() for entry in view if entry.slots and entry.id not in live}
    followed = {entry.primary for name, entry in own.items() if entry.primary in lost and _is_sound(deployment, name)}
    if not missing or len(missing) == SLOTS or followed:
        return None  # no slots are lost, the cluster is new, or keep-cluster promotes a replica
    idle = [name for name, entry in own.items() if not entry.slots and (entry.is_primary or entry.primary in lost)]
    if node.name not in idle:
        raise ProvisioningError(
            f"{LostSlots(missing, frozenset())}; {node.name} can't take them", fix=f"NODE=<one of {', '.join(idle)}>"
        )
    slots = _slots_of_shard(deployment, node, missing)
    return LostSlots(slots, frozenset(identity for identity, had in lost.items() if had & slots))


def accept(
    deployment: ContainerDeployment, node: NodeAddress, loss: LostSlots, *, force: bool, dry: bool
) -> Iterator[str]:
    """Make every node forget the lost nodes, and assign their slots to an empty node.

    Raises:
        ProvisioningError: it isn't forced, so nothing was changed.
    """
    stack = deployment.plan.stack_name
    yield str(loss)
    for copy in surviving_copies.copies(deployment):
        yield f"previous files are in {copy}"
    if not force:
        raise ProvisioningError(
            f"{node.name} is empty, and the keys of these slots are lost with it",
            fix=f"restore the newest backup: make restore STACK={stack} INTO=<new stack>; or accept the loss: "
            f"make repair STACK={stack} NODE={node.name} FORCE=1",
        )
    if dry:
        return
    executor, members = deployment.executor, deployment.plan.nodes
    for member in members:
        own: ClusterNode = next(entry for entry in cluster.read_nodes(executor, member.name) if "myself" in entry.flags)
        if own.primary in loss.ids:  # a replica can't forget its primary
            executor.run(member.name, "CLUSTER", "RESET", "SOFT")
    for member in members:
        for identity in loss.ids:
            with contextlib.suppress(CommandRejectedError):  # it has forgotten it already
                executor.run(member.name, "CLUSTER", "FORGET", identity)
    executor.run(node.name, "CLUSTER", "ADDSLOTSRANGE", *cluster.slot_ranges(sorted(loss.slots)))
    yield f"{node.name} has these slots now, without keys"


def _slots_of_shard(deployment: ContainerDeployment, node: NodeAddress, missing: frozenset[int]) -> frozenset[int]:
    """The missing slots of the node's own shard, or else all missing slots."""
    plan = deployment.plan
    first, last = plan.slots_of(plan.nodes[plan.nodes.index(node) % plan.shards])
    return missing & frozenset(range(first, last + 1)) or missing


def _is_sound(deployment: ContainerDeployment, name: str) -> bool:
    """Whether a replica has data that a failover preserves, as plan-cluster decides it."""
    state = info(deployment.executor, name, "replication")
    linked = state.get("master_link_status") == "up" or int(state.get("master_link_down_since_seconds", -1)) >= 0
    return linked or state.get("slave_priority", "0") != "0"  # without either it has not read its nodes.conf yet
