"""Node types: what each holds, and which nodes hold a size."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.gcp.catalogue import MAXIMUM_NODES

FULL_PERCENT = 80
"""Of what a node may hold: an alert begins there, so `memory` must fit below."""

_GIGABYTE = 1000**3
"""Google's tables don't say which gigabyte they mean; the smaller one is safe."""


@dataclass(frozen=True)
class NodeType:
    """maxmemory: bytes that data may take. clients: connections that a node takes. shardable: may be in a cluster.
    guaranteed: covered by the service level agreement.
    """

    name: str
    maxmemory: int
    clients: int
    shardable: bool = True
    guaranteed: bool = True

    @property
    def comfortable(self) -> int:
        """Bytes that data may take before an alert begins."""
        return self.maxmemory * FULL_PERCENT // 100


@dataclass(frozen=True)
class Shape:
    """What is asked for beside a size.

    shards: None where it may be chosen. replicas: of each shard. node_type: the only one to be used, if any.
    """

    sharded: bool
    shards: int | None
    replicas: int
    node_type: str = ""


@dataclass(frozen=True)
class Sizing:
    node: NodeType
    shards: int


def _node(name: str, gigabytes: float, clients: int, *, shardable: bool = True, guaranteed: bool = True) -> NodeType:
    return NodeType(name, round(gigabytes * _GIGABYTE), clients, shardable, guaranteed)


_ALL = (
    _node("SHARED_CORE_NANO", 1.12, 5_000, guaranteed=False),
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
"""By name. Writable capacity: "Instance and node specification"; the custom ones are for one shard only. Connections:
the same page; of those that it leaves out, the least of the others."""

_LARGE = ("HIGHMEM_XLARGE", "HIGHMEM_2XLARGE")
_SHARDABLE = ("STANDARD_SMALL", "HIGHMEM_MEDIUM", "STANDARD_LARGE", *_LARGE)
_ONE_SHARD = ("CUSTOM_PICO", "CUSTOM_MICRO", "CUSTOM_MINI", *_SHARDABLE)
"""By memory; each has a service level agreement."""

_GROWING = ("HIGHMEM_MEDIUM", *_LARGE)
"""Of a cluster that may have more shards. The engine is one thread: it grows in shards before it does in nodes."""

LEAST_SHARDS = 3
"""Of a cluster: fewer can't agree on a failover."""


def plan(size: int, shape: Shape) -> Sizing | None:
    """The nodes that hold `size` bytes of data with head room; None where none do."""
    least = (shape.shards or LEAST_SHARDS) if shape.sharded else 1
    for node, most in _ladder(shape):
        needed = max(least, -(-size // node.comfortable))
        if needed <= most:
            return Sizing(node, needed)
    return None


def largest(shape: Shape) -> int:
    """Bytes that an instance of this shape holds at most, with head room."""
    return max(node.comfortable * most for node, most in _ladder(shape))


def _ladder(shape: Shape) -> list[tuple[NodeType, int]]:
    """Node types in the order in which they are tried, with the most shards of each."""
    if not shape.sharded:
        return [(NODE_TYPES[name], 1) for name in ([shape.node_type] if shape.node_type else _ONE_SHARD)]
    most = shape.shards or MAXIMUM_NODES // (1 + shape.replicas)
    if shape.node_type:
        return [(NODE_TYPES[shape.node_type], most)]
    if shape.shards:
        return [(NODE_TYPES[name], shape.shards) for name in _SHARDABLE]
    return [(NODE_TYPES["STANDARD_SMALL"], LEAST_SHARDS), *((NODE_TYPES[name], most) for name in _GROWING)]
