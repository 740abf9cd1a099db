"""Survey of a group's nodes, running or not: their folders, ports and holdings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

from infra.drivers.files import write_private
from infra.drivers.processes import holdings, ports, process
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.holdings import Holding
from infra.drivers.processes.instance import ServerSpec
from infra.drivers.topology.executor import fields, is_reachable, wait_until
from infra.errors import ProvisioningError

FLUSH_TIMEOUT_SECONDS = 10.0


def check_folders(spec: GroupSpec) -> None:
    """Check every server's folder, such as its owner, before anything is changed."""
    for server in spec.all_servers.values():
        if problem := server.folder.validation_error(server.ownership):
            raise problem


def assigned_ports(specs: Mapping[str, ServerSpec], candidates: Iterable[int]) -> dict[str, int]:
    """The port of each server; a server with an emptied folder gets an unassigned port that the others know."""
    kept = {name: spec.port or ports.configured(spec.folder) for name, spec in specs.items()}
    free = iter([port for port in candidates if port not in kept.values()])
    return {name: port or next(free, 0) for name, port in kept.items()}


def keep_ports(specs: Mapping[str, ServerSpec], candidates: Iterable[int]) -> None:
    """Write each server's port to its folder where it is lost and not configured."""
    for name, port in assigned_ports(specs, candidates).items():
        folder = specs[name].folder
        if port and not specs[name].port and not ports.configured(folder):
            folder.acquire(specs[name].ownership)
            write_private(folder.config, f"port {port}\n")


def survey(spec: GroupSpec, executor: ProcessExecutor, names: Iterable[str]) -> dict[str, Holding]:
    """The holdings of the named nodes."""
    return {name: _look(spec, executor, name) for name in names}


def set_aside_damaged(spec: GroupSpec, surveyed: dict[str, Holding]) -> None:
    """Set the data of damaged nodes aside, so that they start without it and copy a primary."""
    for name, holding in surveyed.items():
        if holding.damage and process.find(spec.nodes[name].folder) is None:
            holdings.set_aside(spec.nodes[name].folder, holding.damage)


def _look(spec: GroupSpec, executor: ProcessExecutor, name: str) -> Holding:
    folder = spec.nodes[name].folder
    if process.find(folder) is None:
        return holdings.read(folder.data)
    if is_reachable(executor, name):
        if not fields(executor.run(name, "INFO", "keyspace")):
            return Holding(exists=True)
        with contextlib.suppress(ProvisioningError):  # then by the data in the file
            wait_until(
                lambda: fields(executor.run(name, "INFO", "persistence")).get("aof_buffer_length", "0") == "0",
                FLUSH_TIMEOUT_SECONDS,
                f"{name} doesn't write its append-only file",
            )
    return holdings.peek(folder.data)
