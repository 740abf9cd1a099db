"""The hardening table as far as Memorystore lets it be set, and what is kept on disk."""

from __future__ import annotations

from typing import Any

from infra import hardening
from infra.settings import Settings
from infra.settings.gcp.nodes import NodeType


def engine_configs(settings: Settings, node: NodeType) -> dict[str, str]:
    """Names and values, each a text. `maxmemory` is each node's, in bytes: Google's own default for the node type."""
    directives = hardening.directives(settings.workload, node.maxmemory, "gcp")
    return directives | {"maxclients": str(min(int(directives["maxclients"]), node.clients))}


def persistence_mode(settings: Settings) -> str:
    """disabled, rdb or aof. A cache comes back warm from an hourly snapshot; jobs must not be lost."""
    return settings.gcp.persistence or ("rdb" if settings.workload == "cache" else "aof")


def persistence(settings: Settings) -> dict[str, Any]:
    mode = persistence_mode(settings)
    if mode == "aof":
        return {"mode": "AOF", "aof_config": {"append_fsync": "EVERY_SEC"}}
    if mode == "rdb":
        return {"mode": "RDB", "rdb_config": {"rdb_snapshot_period": "ONE_HOUR"}}
    return {"mode": "DISABLED"}
