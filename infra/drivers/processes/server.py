"""The driver of a single server process: create, update, inspect, repair and remove it.

`ensure` can be killed at any moment and run again.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import redis

from infra.drivers.processes import appendonly, process, running_server
from infra.drivers.processes.appendonly import RepairResult
from infra.drivers.processes.running_server import ServerSpec, ServerState
from infra.errors import ProvisioningError, as_preflight_error


def ensure(spec: ServerSpec) -> ServerState:
    """Create or update the server, with as little disruption as possible.

    Settings are changed live where that is possible; otherwise the server is restarted and keeps its data.

    Raises:
        ProvisioningError: it can't be created or updated.
    """
    with as_preflight_error():
        preflight(spec)
    with running_server.as_provisioning_error(spec.folder):
        return _ensure(spec)


def preflight(spec: ServerSpec) -> None:
    """Check in advance that `ensure` can succeed; nothing is changed."""
    if problem := spec.folder.validation_error(spec.ownership):
        raise problem
    ownership = spec.folder.ownership()
    if ownership is None or ownership.restoring:
        return
    with running_server.as_provisioning_error(spec.folder):
        running_server.preflight(spec)
        if process.find(spec.folder) is None:
            running_server.reject_missing_files(spec)


def inspect(spec: ServerSpec) -> ServerState | None:
    """The current state of the server; None if it doesn't run or rejects the password."""
    running = process.find(spec.folder)
    with running_server.as_provisioning_error(spec.folder):
        if running is None or (client := running_server.login(spec, running)) is None:
            return None
        with client:
            return running_server.inspect(spec, client)


def remove(spec: ServerSpec, *, keep_snapshot: bool) -> None:
    """Stop the server and remove its data; with `keep_snapshot`, leave a snapshot.

    Does nothing if another resource owns the folder now.
    """
    ownership = spec.folder.ownership()
    if ownership is None or ownership.resource != spec.ownership.resource:
        return
    with running_server.as_provisioning_error(spec.folder):
        # Only a server can turn append-only files into a snapshot. If it can't start, they are kept unchanged.
        is_saved = keep_snapshot and any(spec.folder.data.glob("*")) and _save_and_stop(spec)
        if running := process.find(spec.folder):
            process.stop(running)
        spec.folder.release(keep_snapshot=keep_snapshot, is_saved=is_saved)


def repair(spec: ServerSpec, *, force: bool = False) -> RepairResult | None:
    """Make the data of a server that doesn't run loadable; see appendonly.repair.

    Raises:
        ProvisioningError: it runs, another stack owns the folder, or nothing can be loaded.
    """
    if problem := spec.folder.validation_error(spec.ownership):
        raise problem
    if process.find(spec.folder):
        raise ProvisioningError(
            f"valkey-server runs in {spec.folder.path}", fix="make repair is for servers that don't start"
        )
    if spec.folder.ownership() is None:
        spec.folder.acquire(spec.ownership)
    return appendonly.repair(spec.folder.data, force=force)


def _save_and_stop(spec: ServerSpec) -> bool:
    """Save the data and stop the server; one that is ending or rejects the password is started again first.

    Returns:
        False if it can't be started. One that runs and can't save is an error: it may hold writes that no file has.
    """
    try:
        running = process.find(spec.folder)
        client = running_server.login(spec, running) if running else None
        if running and client is None:
            process.stop(running)
        client = client or running_server.start(spec)
    except ProvisioningError:
        return False
    with client, contextlib.suppress(redis.TimeoutError):
        client.shutdown(save=True)  # it responds when the snapshot is written
    return True


def _ensure(spec: ServerSpec) -> ServerState:
    previous = spec.folder.ownership()
    source = str(spec.restore_from or "") if previous is None else previous.restoring
    spec.folder.acquire(replace(spec.ownership, restoring=source))
    running = process.find(spec.folder)
    if source:
        if running:
            process.stop(running)
        state = _restore(spec, Path(source))
        spec.folder.acquire(spec.ownership)
        return state
    if running:
        if client := running_server.login(spec, running):
            with client:
                if running_server.apply_live(spec, client):
                    return running_server.inspect(spec, client)
        process.stop(running)
    with running_server.start(spec) as client:
        return running_server.inspect(spec, client)


def _restore(spec: ServerSpec, source: Path) -> ServerState:
    """Start with a copy of an RDB file, then enable the append-only file.

    The order matters: a server that starts with `appendonly yes` ignores a snapshot. Nothing is evicted until it is
    certain that all keys fit.
    """
    if not source.is_file():
        raise ProvisioningError(
            f"the restore from {source} was interrupted, and the file no longer exists", fix="put it back, or make down"
        )
    spec.folder.clear_data()
    shutil.copyfile(source, spec.folder.snapshot)
    with running_server.start(spec, "--appendonly", "no", "--maxmemory", "0") as client:
        used, allowed = int(client.info("memory")["used_memory"]), int(spec.directives["maxmemory"])
        if used > allowed:
            process.stop(psutil.Process(int(client.info("server")["process_id"])))
            raise ProvisioningError(
                f"{source} needs {used} bytes of memory, more than the configured {allowed}",
                fix="pulumi config set memory <more>",
            )
        client.config_set("appendonly", "yes")
        running_server.wait_for_append_only(client)
        client.config_set("maxmemory", allowed)
        return running_server.inspect(spec, client)
