"""Sizing on gcp: the node type that holds `memory`, the data of one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.settings.gcp.node_types import InstanceNodeType, candidates

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def smallest(settings: StackSettings, node_type: str = "") -> InstanceNodeType | None:
    """The smallest node type that holds `memory` with headroom; None if no node type does.

    node_type: the only one to consider, if any.
    """
    nodes = candidates(node_type, is_cluster=settings.topology == "cluster")
    return next((node for node in nodes if settings.maxmemory <= node.comfortable), None)


def node_type(settings: StackSettings) -> InstanceNodeType:
    """The node type of an instance with valid settings."""
    node = smallest(settings, settings.gcp.nodeType)
    assert node is not None, "validation rejects more memory than the nodes have"  # noqa: S101
    return node


def largest_bytes(settings: StackSettings) -> int:
    """The most data that a shard can hold with headroom."""
    nodes = candidates(settings.gcp.nodeType, is_cluster=settings.topology == "cluster")
    return max(node.comfortable for node in nodes)
