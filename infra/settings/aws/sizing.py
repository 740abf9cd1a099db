"""Sizing on aws: the node type and the storage limit that hold `memory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.settings.aws.node_types import NODE_TYPES, CacheNodeType, smallest
from infra.settings.config_keys import size_in_bytes

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def node_type(settings: StackSettings) -> CacheNodeType:
    """The configured node type, or the smallest that holds `memory` with headroom."""
    node = NODE_TYPES.get(settings.aws.nodeType) or smallest(settings.maxmemory)
    assert node is not None, "validation rejects more memory than the largest node has"  # noqa: S101
    return node


def storage_gigabytes(settings: StackSettings) -> int:
    """The storage limit of a serverless cache: `memory`, rounded up."""
    return _gigabytes(settings.maxmemory)


def min_storage_gigabytes(settings: StackSettings) -> int | None:
    """The storage that a serverless cache always has: `aws.minMemory`, rounded up."""
    least = settings.aws.minMemory
    return _gigabytes(size_in_bytes(least)) if least else None


def _gigabytes(size: int) -> int:
    return -(-size // 1024**3)
