"""Which servers a deployment on this machine has, and where each one's port lies."""

from __future__ import annotations

from infra.hardening import Topology

SENTINELS = 3
SENTINEL_PORTS = 10


def port_offsets(topology: Topology, shards: int, replicas: int) -> dict[str, int]:
    """The servers by name, and how far each one's port lies above the first: the first primaries, then the replicas.

    The Sentinels' lie where more replicas leave them room.
    """
    nodes = {f"node-{number}": number for number in range(shards * (1 + replicas))}
    sentinels = {f"sentinel-{number}": SENTINEL_PORTS + number for number in range(SENTINELS)}
    return {**nodes, **sentinels} if topology == "replicated" else nodes
