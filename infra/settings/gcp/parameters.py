"""Memorystore's parameters ("Supported instance configurations")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.engine_parameters import PERCENT, POLICIES, EngineParameter, letters, number
from infra.hardening import directives
from infra.settings.gcp.node_types import NODE_TYPES, InstanceNodeType
from infra.settings.parameters import ParameterCatalogue

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def hardened(settings: StackSettings, node: InstanceNodeType) -> dict[str, str]:
    """The part of the hardening that Memorystore supports. `maxmemory` is Google's default for the node type."""
    table = directives(settings.workload, node.maxmemory, "gcp")
    return table | {"maxclients": str(min(int(table["maxclients"]), node.max_clients))}


SUPPORTED: dict[str, EngineParameter] = {
    "maxclients": number(1, max(node.max_clients for node in NODE_TYPES.values())),
    "maxmemory-clients": PERCENT,
    "maxmemory-policy": POLICIES,
    "notify-keyspace-events": letters("KEg$lshzxeA"),
    "slowlog-log-slower-than": number(-1),
}


def catalogue(settings: StackSettings, node: InstanceNodeType) -> ParameterCatalogue:
    """What a node type supports."""
    supported = SUPPORTED | {"maxclients": number(1, node.max_clients)}
    return ParameterCatalogue("Memorystore", supported, hardened(settings, node))
