"""Idle times and access frequencies of keys (LRU, LFU), by which a server with such a policy evicts."""

from __future__ import annotations

from typing import Literal, Protocol

from valkeykit_ops.migrate.checks import Check
from valkeykit_ops.migrate.migration_server import InspectedServer

Usage = Literal["IDLETIME", "FREQ"]
"""What OBJECT reports of a key, and an option of RESTORE."""


def carried_usage(source: InspectedServer, target: InspectedServer) -> Usage | None:
    """What is carried over: what the source evicts by, if the target's policy keeps it."""
    by_frequency = _policy(target).endswith("-lfu")
    if _policy(source).endswith("-lfu"):
        return "FREQ" if by_frequency else None
    if _policy(source).endswith("-lru"):
        return None if by_frequency else "IDLETIME"
    return None


class ReadServer(InspectedServer, Protocol):
    """A server whose keys are read.

    Attributes:
        avoids_touching: Whether reading a key does not count as its use.
    """

    avoids_touching: bool


def usage_check(source: ReadServer, target: InspectedServer) -> list[Check]:
    """What happens to idle times and frequencies; nothing if the source does not evict by them."""
    policy = _policy(source)
    if not policy.endswith(("-lru", "-lfu")):
        return []
    texts, fix = [], ""
    if carried_usage(source, target):
        texts.append("idle times are carried over" if policy.endswith("-lru") else "frequencies are carried over")
    else:
        texts.append(f"the source evicts by {policy}, which the target's policy {_policy(target)} does not keep")
        fix = f"at the target, until the cut-over: CONFIG SET maxmemory 0 maxmemory-policy {policy}"
    if not source.avoids_touching:
        texts.append("reading counts as use at the source, which does not support CLIENT NO-TOUCH")
    return [Check("key usage", None if fix or not source.avoids_touching else True, "; ".join(texts), fix)]


def _policy(server: InspectedServer) -> str:
    return server.info(server.primaries()[0].node, "memory").get("maxmemory_policy", "")
