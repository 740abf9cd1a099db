"""Memorystore node types and their capacity."""

from __future__ import annotations

from dataclasses import dataclass

ALERT_PERCENT = 80
"""Of a node's capacity. The memory alert fires above it, so `memory` must fit below."""

_GIGABYTE = 1000**3
"""Google's tables don't define their gigabyte; the smaller one is safe."""


@dataclass(frozen=True)
class InstanceNodeType:
    """maxmemory: capacity for data, in bytes. max_clients: connections. shardable: whether a cluster can use it.
    has_sla: whether the service level agreement covers it.
    """

    name: str
    maxmemory: int
    max_clients: int
    shardable: bool = True
    has_sla: bool = True

    @property
    def comfortable(self) -> int:
        """Bytes of data below the threshold of the memory alert."""
        return self.maxmemory * ALERT_PERCENT // 100


def _node(name: str, gigabytes: float, clients: int, *, shardable: bool = True, sla: bool = True) -> InstanceNodeType:
    return InstanceNodeType(name, round(gigabytes * _GIGABYTE), clients, shardable, sla)


_ALL = (
    _node("SHARED_CORE_NANO", 1.12, 5_000, sla=False),
    _node("CUSTOM_PICO", 1.08, 5_000, shardable=False),
    _node("CUSTOM_MICRO", 2, 5_000, shardable=False),
    _node("CUSTOM_MINI", 3, 5_000, shardable=False),
    _node("STANDARD_SMALL", 5.2, 16_000),
    _node("HIGHMEM_MEDIUM", 10.4, 32_000),
    _node("HIGHCPU_MEDIUM", 10.4, 32_000),
    _node("STANDARD_LARGE", 20.8, 32_000),
    _node("HIGHMEM_XLARGE", 46.4, 32_000),
    _node("HIGHMEM_2XLARGE", 88, 32_000),
)

NODE_TYPES = {node.name: node for node in _ALL}
"""By name. Writable capacity and connections: "Instance and node specification", which says that the custom types
support one shard only. Types without a number of connections there have the lowest number of the others."""

_LADDER = [node for node in _ALL if node.has_sla and node.name != "HIGHCPU_MEDIUM"]
"""By memory; the smallest that fits is chosen."""


def candidates(node_type: str = "", *, is_cluster: bool) -> list[InstanceNodeType]:
    """The node types to choose from, smallest first; only `node_type` if it is given."""
    if node_type:
        return [NODE_TYPES[node_type]]
    return [node for node in _LADDER if node.shardable or not is_cluster]
