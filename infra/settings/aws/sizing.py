"""Sizing on aws: the node type and the storage limit that hold `memory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.settings.aws.node_types import NODE_TYPES, CacheNodeType, smallest

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def node_type(settings: StackSettings) -> CacheNodeType:
    """The configured node type, or the smallest that holds `memory` with headroom."""
    node = NODE_TYPES.get(settings.aws.nodeType) or smallest(settings.maxmemory)
    assert node is not None, "validation rejects more memory than the largest node has"  # noqa: S101
    return node


def storage_gigabytes(settings: StackSettings) -> int:
    """The storage limit of a serverless cache: `memory`, rounded up."""
    return -(-settings.maxmemory // 1024**3)
