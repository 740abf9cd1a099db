"""Backups: RDB files of a stack's data on this machine, and their verification."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ValkeykitError
from valkeykit.url import Node

from infra.drivers import drill
from infra.drivers.files import unused_timestamp_name
from infra.drivers.processes.folder import BACKUPS
from infra.drivers.topology.node_executor import wait_until
from infra.outputs import ENDPOINT
from infra.providers import docker as containers
from stackctl import admin_clients, managed_services
from stackctl.errors import StackError
from stackctl.stack import Stack
from stackctl.state_backend import FOLDER

SAVE_TIMEOUT_SECONDS = 900.0

_PARTIAL = ".part"
"""The suffix of an incomplete backup's folder."""

TARGETS = ("embedded", "docker")
"""Targets that this module backs up; clouds have backups of their own."""


def take(stack: Stack) -> str:
    """Save every primary's data into .valkey/<stack>/backups/<UTC time>/, one RDB file each, 0600; in a cloud, start a
    backup there. Returns its location.

    Raises:
        StackError: there is no such stack, its cloud doesn't respond, no node of a shard responds, or the disk is full.
        ProvisioningError: a server can't save.
    """
    outputs = stack.outputs()
    endpoint = Endpoint.from_dict(outputs[ENDPOINT])
    if endpoint.target not in TARGETS:
        return managed_services.backup(outputs)
    with _new_folder(stack) as folder:
        if endpoint.target == "docker":
            containers.snapshot(stack.resource("Containers"), folder)
        else:
            _copy_processes(stack, outputs, folder)
    return str(folder.with_suffix(""))


@contextlib.contextmanager
def _new_folder(stack: Stack) -> Iterator[Path]:
    """A folder that is renamed when the backup is complete, and removed otherwise; the next command removes the folder
    of a killed one.
    """
    parent = stack.root / FOLDER / stack.name / BACKUPS
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as locks:
            with _locked(parent):
                _remove_abandoned(parent)
                folder = parent / f"{unused_timestamp_name(parent)}{_PARTIAL}"
                folder.mkdir(mode=0o700)
                locks.enter_context(_locked(folder))
            try:
                yield folder
                folder.rename(folder.with_suffix(""))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        raise StackError(
            f"the backup can't be written to {error.filename or parent}: {error.strerror}",
            fix=f"free space there, then make backup STACK={stack.name}",
        ) from None


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"*{_PARTIAL}"):
        with contextlib.suppress(BlockingIOError), _locked(folder, fcntl.LOCK_NB):
            shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    """Lock a folder against other commands; the lock ends with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)


def newest(stack: Stack) -> Path:
    """The folder of the last backup.

    Raises:
        StackError: there is none.
    """
    folder = stack.root / FOLDER / stack.name / BACKUPS
    taken = sorted(entry for entry in folder.glob("*Z*") if entry.suffix != _PARTIAL)
    if not taken:
        raise StackError(f"there is no backup in {folder}", fix=f"make backup STACK={stack.name}")
    return taken[-1]


def verify(stack: Stack) -> Iterator[str]:
    """Load the newest backup into a temporary server, and report its keys, the loading time and its age, a line a file.

    Raises:
        StackError: there is no backup.
        ProvisioningError: one can't be loaded.
    """
    for dump in sorted(newest(stack).glob("*.rdb")):
        loaded, minutes = drill.load(dump), drill.age(dump) / 60
        yield f"{dump}: {loaded.keys} keys in {loaded.seconds:.1f} s; it is {minutes:.0f} minutes old"


def _copy_processes(stack: Stack, outputs: Mapping[str, Any], folder: Path) -> None:
    """Copy the servers' RDB files, which are on this machine."""
    order = Endpoint.from_dict(outputs[ENDPOINT]).nodes
    for node in _sources(stack, outputs):
        with admin_clients.connected(outputs, node, stack.name) as client:
            saved = _save(client, node)
            target = folder / f"node-{order.index(node)}.rdb"
            target.touch(mode=0o600)
            shutil.copyfile(saved, target)


def _sources(stack: Stack, outputs: Mapping[str, Any]) -> list[Node]:
    """The primary of each shard, or its most up-to-date replica if the primary doesn't respond.

    Raises:
        StackError: no node of a shard responds.
    """
    states: dict[Node, Mapping[str, Any]] = {}
    causes: dict[Node, str] = {}
    shards: list[list[Node]] = []
    endpoint = Endpoint.from_dict(outputs[ENDPOINT])
    for node in endpoint.nodes:
        try:
            with admin_clients.connected(outputs, node) as client, translate_errors():
                states[node] = client.info("replication")
                if endpoint.topology == "cluster":
                    shards = shards or _shards(client, endpoint.nodes)
        except ValkeykitError as problem:
            causes[node] = str(problem.args[0])
    return [_source(stack, shard, states, causes) for shard in shards or [list(endpoint.nodes)]]


def _shards(client: Any, nodes: Iterable[Node]) -> list[list[Node]]:
    """The nodes of each shard of a cluster that has slots."""
    by_address = {str(node): node for node in nodes}
    view: Mapping[str, Any] = client.cluster("NODES")
    primaries = {row["node_id"] for row in view.values() if "master" in row["flags"].split(",") and row["slots"]}
    shards = ([at for at, row in view.items() if one in (row["node_id"], row["master_id"])] for one in primaries)
    return [[by_address[address] for address in shard if address in by_address] for shard in shards]


def _source(
    stack: Stack, shard: Sequence[Node], states: Mapping[Node, Mapping[str, Any]], causes: Mapping[Node, str]
) -> Node:
    live = {node: states[node] for node in shard if node in states}
    leading = [node for node, state in live.items() if state["role"] == "master"]
    if leading:  # another one that has just come back has no replica
        return max(leading, key=lambda node: live[node]["connected_slaves"])
    complete = [node for node, state in live.items() if not state["master_sync_in_progress"]]
    if not complete:
        reasons = "; ".join(causes.get(node, f"the node {node} is still copying its primary's data") for node in shard)
        raise StackError(f"no node has all of the data: {reasons}", fix=f"make up STACK={stack.name}")
    return max(complete, key=lambda node: live[node]["slave_repl_offset"])


def _save(client: Any, node: Node) -> Path:
    """Have a node save its data, and return the file."""
    with translate_errors():
        before = client.info("persistence")["rdb_saves"]

        def saved() -> bool:
            state = client.info("persistence")
            if state["rdb_bgsave_in_progress"] or state["aof_rewrite_in_progress"]:
                return False
            if state["rdb_last_bgsave_status"] != "ok":
                raise StackError(
                    f"the node {node} can't save its data", fix="free space on its disk; see its log for the cause"
                )
            return bool(state["rdb_saves"] > before)

        client.bgsave(schedule=True)
        wait_until(saved, SAVE_TIMEOUT_SECONDS, f"the node {node} hasn't saved its data yet")
        settings: dict[str, str] = client.config_get("dir", "dbfilename")
    return Path(settings["dir"]) / settings["dbfilename"]
