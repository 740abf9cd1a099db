"""Persistence and backups that follow from the settings on gcp."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def persistence_mode(settings: StackSettings) -> str:
    """disabled, rdb or aof. An hourly snapshot keeps a cache warm; jobs must not be lost."""
    return settings.gcp.persistence or ("rdb" if settings.workload == "cache" else "aof")


def backup_days(settings: StackSettings) -> int:
    """0 for no backups."""
    configured = settings.gcp.backupDays
    if configured is None:
        return 7 if settings.environment == "prod" else 1
    return configured
