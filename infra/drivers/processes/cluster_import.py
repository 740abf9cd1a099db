"""Import of RDB files into an empty cluster: a temporary server loads each file, and its keys move to their slots."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from valkeykit.connection import connect
from valkeykit.url import Address

from infra import hardening
from infra.drivers import rdb
from infra.drivers.processes import ports, process, running_server
from infra.drivers.processes.folder import ServerFolder
from infra.drivers.processes.group import GroupSpec
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology import cluster
from infra.drivers.topology.node_executor import NodeAddress, NodeExecutor
from infra.errors import ProvisioningError

SCAN_BATCH_KEYS = 1000
MOVE_TIMEOUT_SECONDS = 120.0

_SCRATCH = {"appendonly": "no", "save": "", "maxmemory": "0", "protected-mode": "yes", "loglevel": "notice"}


def import_files(spec: GroupSpec, executor: NodeExecutor, source: Path) -> None:
    """Import all keys of the files. Nothing is evicted until it is certain that all keys fit.

    Raises:
        ProvisioningError: they don't fit, or are in several databases.
    """
    primaries = cluster.primaries(executor, spec.members)
    for primary in primaries:
        executor.run(primary.name, "CONFIG", "SET", "maxmemory", "0")
    scratch = _scratch(spec)
    for file in rdb.files(source):
        _load(scratch, file)
        try:
            _move_all(scratch, executor, primaries)
        finally:
            _remove(scratch)
    allowed = spec.directives["maxmemory"]
    for primary in primaries:
        used = int(dict(_fields(executor.run(primary.name, "INFO", "memory")))["used_memory"])
        if used > int(allowed):
            raise ProvisioningError(
                f"{source} needs {used} bytes of memory on {primary.name}, more than the configured {allowed}",
                fix="pulumi config set memory <more>",
            )
        executor.run(primary.name, "CONFIG", "SET", "maxmemory", allowed)


def discard(spec: GroupSpec) -> None:
    """Stop and remove the temporary server of an interrupted import."""
    _remove(_scratch(spec))


def _scratch(spec: GroupSpec) -> ServerSpec:
    """A temporary server for the import of one file."""
    any_node = next(iter(spec.nodes.values()))
    return replace(any_node, folder=ServerFolder(spec.folder.path / "scratch"), directives=_SCRATCH, secrets={}, port=0)


def _load(scratch: ServerSpec, file: Path) -> None:
    _remove(scratch)  # of an interrupted import
    scratch.folder.acquire(scratch.ownership)
    scratch.folder.clear_data()
    shutil.copyfile(file, scratch.folder.snapshot)
    running_server.start(scratch).close()


def _remove(scratch: ServerSpec) -> None:
    if running := process.find(scratch.folder):
        process.stop(running)
    scratch.folder.release(keep_snapshot=False)


def _move_all(scratch: ServerSpec, executor: NodeExecutor, primaries: list[NodeAddress]) -> None:
    owners = _owners(executor, primaries)
    address = Address(ports.HOST, ports.configured(scratch.folder), username=hardening.ADMIN, password=scratch.password)
    with connect(address, topology="single", decode=False, read_timeout=MOVE_TIMEOUT_SECONDS) as client:
        _reject_other_databases(client)
        functions = client.execute_command("FUNCTION DUMP")
        for primary in primaries:
            _copy_functions(functions, primary, scratch.password)
        for batch in _batches(client):
            _move(client, batch, owners, scratch.password)


def _owners(executor: NodeExecutor, primaries: list[NodeAddress]) -> dict[int, NodeAddress]:
    by_address = {primary.address: primary for primary in primaries}
    nodes = cluster.read_nodes(executor, primaries[0].name)
    return {slot: by_address[node.address] for node in nodes for slot in node.slots}


def _reject_other_databases(client: redis.Redis) -> None:
    others = [name for name in client.info("keyspace") if name != "db0"]
    if others:
        raise ProvisioningError(
            f"the file has keys in {', '.join(others)}, and a cluster has only db0",
            fix="move them to database 0, or pulumi config set topology replicated",
        )


def _copy_functions(functions: Any, primary: NodeAddress, password: str) -> None:
    address = Address(primary.host, primary.port, username=hardening.ADMIN, password=password)
    with connect(address, topology="single") as client:
        client.execute_command("FUNCTION RESTORE", functions, "REPLACE")


def _batches(client: redis.Redis) -> Iterator[list[Any]]:
    """The keys that are there; what is moved is there no more, so SCAN may begin again."""
    cursor: Any = 0
    while True:
        cursor, keys = client.scan(cursor, count=SCAN_BATCH_KEYS)
        yield keys
        if cursor == 0:
            return


def _move(client: redis.Redis, keys: list[bytes], owners: dict[int, NodeAddress], password: str) -> None:
    parts: dict[NodeAddress, list[bytes]] = defaultdict(list)
    for key in keys:
        parts[owners[key_slot(key)]].append(key)
    for owner, part in parts.items():
        to = [owner.host, owner.port, "", 0, int(MOVE_TIMEOUT_SECONDS * 1000)]
        client.execute_command("MIGRATE", *to, "REPLACE", "AUTH2", hardening.ADMIN, password, "KEYS", *part)


def _fields(text: Any) -> Iterator[list[str]]:
    return (line.split(":", 1) for line in str(text).splitlines() if ":" in line)
