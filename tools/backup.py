"""A stack's data in files of this machine, and the proof that they can be loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.local import drill
from infra.local.console import wait_until
from infra.local.docker import providers as containers
from tools import clouds, nodes
from tools.backend import FOLDER
from tools.errors import ToolError
from tools.stack import Stack

SAVE_SECONDS = 900.0

TARGETS = ("embedded", "docker")
"""Whose data a backup of this module holds; clouds take their own."""


def take(stack: Stack) -> str:
    """Save every primary's data into .valkey/<stack>/backups/<UTC time>/, one RDB file each, 0600; in a cloud, order a
    backup there. Returns where it is.

    Raises:
        ToolError: there is no such stack, or its cloud can't be asked.
        ProvisioningError: a server can't save.
    """
    outputs = stack.outputs()
    endpoint = Endpoint.from_dict(outputs["endpoint"])
    if endpoint.target not in TARGETS:
        return clouds.backup(outputs)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    folder = stack.root / FOLDER / stack.name / "backups" / stamp
    partial = folder.with_suffix(".part")
    partial.mkdir(mode=0o700, parents=True)
    if endpoint.target == "docker":
        containers.snapshot(stack.resource("Containers"), partial)
    else:
        _copy_processes(outputs, partial)
    partial.rename(folder)
    return str(folder)


def newest(stack: Stack) -> Path:
    """The folder of the last backup.

    Raises:
        ToolError: there is none.
    """
    folder = stack.root / FOLDER / stack.name / "backups"
    taken = sorted(folder.glob("*Z"))
    if not taken:
        raise ToolError(f"there is no backup in {folder}", fix=f"make backup STACK={stack.name}")
    return taken[-1]


def rehearse(stack: Stack) -> Iterator[str]:
    """Load the newest backup beside what runs, and say what is in it, a line a file.

    Raises:
        ToolError: there is no backup.
        ProvisioningError: one can't be loaded.
    """
    for dump in sorted(newest(stack).glob("*.rdb")):
        loaded, minutes = drill.load(dump), drill.age(dump) / 60
        yield f"{dump}: {loaded.keys} keys in {loaded.seconds:.1f} s; it is {minutes:.0f} minutes old"


def _copy_processes(outputs: Mapping[str, Any], folder: Path) -> None:
    """The servers' folders are on this machine, and they say where."""
    for number, (node, client) in enumerate(nodes.as_admin(outputs)):
        if client.info("replication")["role"] != "master":
            continue
        _save(client, node)
        settings: Any = client.config_get("dir", "dbfilename")
        target = folder / f"node-{number}.rdb"
        target.touch(mode=0o600)
        shutil.copyfile(Path(settings["dir"]) / settings["dbfilename"], target)


def _save(client: Any, node: Node) -> None:
    before = client.info("persistence")["rdb_saves"]

    def saved() -> bool:
        state = client.info("persistence")
        return not state["rdb_bgsave_in_progress"] and bool(state["rdb_saves"] > before)

    client.bgsave(schedule=True)
    wait_until(saved, SAVE_SECONDS, f"{node} hasn't saved its data yet")
