"""The layout of a group on this machine: its servers and their port offsets."""

from __future__ import annotations

from infra.hardening import Topology

SENTINEL_COUNT = 3
FIRST_SENTINEL_OFFSET = 10


def port_offsets(topology: Topology, shards: int, replicas: int) -> dict[str, int]:
    """The servers by name, with the offset of each one's port from the first: the first primaries, then the replicas.

    The Sentinels' offsets leave room for more replicas.
    """
    nodes = {f"node-{number}": number for number in range(shards * (1 + replicas))}
    sentinels = {f"sentinel-{number}": FIRST_SENTINEL_OFFSET + number for number in range(SENTINEL_COUNT)}
    return {**nodes, **sentinels} if topology == "replicated" else nodes
