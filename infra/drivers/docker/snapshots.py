"""Snapshots of primaries as RDB files on this machine, and archives of data directories."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from infra.drivers.docker import roles, volumes
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.objects import DockerObjects
from infra.drivers.topology.node_executor import info, wait_until
from infra.errors import ProvisioningError

SAVE_TIMEOUT_SECONDS = 900.0


def take(deployment: ContainerDeployment, folder: Path, name: str, *, replicas: bool = False) -> list[Path]:
    """Save every shard's data as <name>-<time>[-<node>].rdb in a folder, 0600.

    replicas: use a replica if a primary doesn't respond.

    Raises:
        ShardDownError: no node of a shard responds.
        ProvisioningError: a server can't save, or the disk is full.
    """
    stamp, taken = _prepare(folder), []
    for node in roles.sources(deployment.executor, deployment.plan, replicas=replicas):
        _save(deployment, node)
        part = f"-{node}" if deployment.plan.shards > 1 else ""
        target = folder / f"{name}-{stamp}{part}.rdb"
        volumes.download(deployment.engine, deployment.container(node), "/data/dump.rdb", target)
        taken.append(target)
    return taken


def archive(objects: DockerObjects, folder: Path, name: str) -> list[Path]:
    """Save every node's data directory as <name>-<time>-<node>.tar in a folder, 0600, after stopping the servers.

    Raises:
        ProvisioningError: the disk is full, or a volume can't be read.
    """
    objects.stop()
    stamp, taken = _prepare(folder), []
    for volume in objects.data():
        taken.append(folder / f"{name}-{stamp}-{volume.removeprefix(objects.project + '_')}.tar")
        objects.open(volume).archive(taken[-1])
    return taken


def _prepare(folder: Path) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def _save(deployment: ContainerDeployment, node: str) -> None:
    executor = deployment.executor
    before = info(executor, node, "persistence")["rdb_saves"]

    def saved() -> bool:
        facts = info(executor, node, "persistence")
        if facts["rdb_bgsave_in_progress"] == "1":
            return False
        if facts["rdb_last_bgsave_status"] != "ok":
            raise ProvisioningError(f"{node} can't save its data", fix="free space on its disk; see docker logs")
        return facts["rdb_saves"] != before

    executor.run(node, "BGSAVE", "SCHEDULE")
    wait_until(saved, SAVE_TIMEOUT_SECONDS, f"{node} has not saved its data yet")
