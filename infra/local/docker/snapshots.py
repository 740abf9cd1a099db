"""Snapshots of the primaries, as RDB files on this machine."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

from infra.errors import ProvisioningError
from infra.local.docker import roles, volumes
from infra.local.docker.deployment import Deployment

SAVE_SECONDS = 900.0
_POLL_SECONDS = 0.2


def take(deployment: Deployment, folder: Path, name: str) -> list[Path]:
    """Save every primary's data as <name>-<time>[-<node>].rdb in a folder, 0600.

    Raises:
        ProvisioningError: a server can't save, or there is no room here.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = []
    for node in roles.primaries(deployment.console, [node.name for node in deployment.plan.nodes]):
        _save(deployment, node)
        part = f"-{node}" if deployment.plan.shards > 1 else ""
        target = folder / f"{name}-{stamp}{part}.rdb"
        volumes.download(deployment.engine, deployment.container(node), "/data/dump.rdb", target)
        taken.append(target)
    return taken


def _save(deployment: Deployment, node: str) -> None:
    console = deployment.console
    before = console.info(node, "persistence")["rdb_saves"]
    console.run(node, "BGSAVE", "SCHEDULE")
    deadline = time.monotonic() + SAVE_SECONDS
    while True:
        facts = console.info(node, "persistence")
        if facts["rdb_last_bgsave_status"] != "ok" and facts["rdb_bgsave_in_progress"] == "0":
            raise ProvisioningError(f"{node} can't save its data", fix="make room on its disk; docker compose logs")
        if facts["rdb_saves"] != before and facts["rdb_bgsave_in_progress"] == "0":
            return
        if time.monotonic() > deadline:
            raise ProvisioningError(f"{node} didn't save its data within {SAVE_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
