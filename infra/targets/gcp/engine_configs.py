"""Engine configs and persistence: the part of the hardening table that Memorystore supports."""

from __future__ import annotations

from typing import Any

from infra.settings import StackSettings
from infra.settings.gcp.node_types import InstanceNodeType
from infra.settings.gcp.parameters import hardened
from infra.settings.gcp.persistence import persistence_mode

_FSYNC = {"always": "ALWAYS", "everysec": "EVERY_SEC", "no": "NEVER"}
_PERIODS = {"1h": "ONE_HOUR", "6h": "SIX_HOURS", "12h": "TWELVE_HOURS", "24h": "TWENTY_FOUR_HOURS"}


def engine_configs(settings: StackSettings, node: InstanceNodeType) -> dict[str, str]:
    """Names and values."""
    return hardened(settings, node) | settings.parameters


def persistence(settings: StackSettings) -> dict[str, Any]:
    mode = persistence_mode(settings)
    if mode == "aof":
        return {"mode": "AOF", "aof_config": {"append_fsync": _FSYNC[settings.gcp.appendFsync or "everysec"]}}
    if mode == "rdb":
        start = settings.gcp.snapshotStart
        return {
            "mode": "RDB",
            "rdb_config": {
                "rdb_snapshot_period": _PERIODS[settings.gcp.snapshotPeriod or "1h"],
                **({"rdb_snapshot_start_time": start} if start else {}),
            },
        }
    return {"mode": "DISABLED"}
