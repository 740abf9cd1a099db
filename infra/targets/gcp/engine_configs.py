"""Engine configs and persistence: the part of the hardening table that Memorystore supports."""

from __future__ import annotations

from typing import Any

from infra import hardening
from infra.settings import StackSettings
from infra.settings.gcp.nodes import InstanceNodeType


def engine_configs(settings: StackSettings, node: InstanceNodeType) -> dict[str, str]:
    """Names and values. `maxmemory` is Google's default for the node type, in bytes."""
    directives = hardening.directives(settings.workload, node.maxmemory, "gcp")
    return directives | {"maxclients": str(min(int(directives["maxclients"]), node.max_clients))}


def persistence_mode(settings: StackSettings) -> str:
    """disabled, rdb or aof. An hourly snapshot keeps a cache warm; jobs must not be lost."""
    return settings.gcp.persistence or ("rdb" if settings.workload == "cache" else "aof")


def persistence(settings: StackSettings) -> dict[str, Any]:
    mode = persistence_mode(settings)
    if mode == "aof":
        return {"mode": "AOF", "aof_config": {"append_fsync": "EVERY_SEC"}}
    if mode == "rdb":
        return {"mode": "RDB", "rdb_config": {"rdb_snapshot_period": "ONE_HOUR"}}
    return {"mode": "DISABLED"}
