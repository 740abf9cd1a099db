"""Several real servers for the driver's tests, and looking at them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
from valkeykit.connection import Client, connect
from valkeykit.url import Address, Node

from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import ports, process
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.topology import cluster, replication
from infra.hardening import Topology

PASSWORDS = {user.name: f"{user.name}-password" for user in (*hardening.USERS, *hardening.SYSTEM_USERS)}
SHAPES: dict[Topology, tuple[int, int]] = {"replicated": (1, 2), "cluster": (3, 1)}
"""Shards, and replicas of each."""


def made(folder: Path, topology: Topology, port: int = 0) -> GroupSpec:
    shards, replicas = SHAPES[topology]
    return GroupSpec(
        folder=ServerFolder(folder),
        ownership=Ownership("valkey/test", "resource-1", binary.version(), topology=topology, shards=shards),
        topology=topology,
        shards=shards,
        replicas=replicas,
        port=port,
        directives=directives(topology),
        acl=hardening.acl(PASSWORDS, hardening.node_users(topology)),
        sentinel_acl=hardening.acl(PASSWORDS, hardening.SENTINEL_USERS),
        passwords=PASSWORDS,
    )


def directives(topology: Topology, memory: int = 64 * 1024**2) -> dict[str, str]:
    of_topology = hardening.topology_directives(topology, SHAPES[topology][1])
    return {**hardening.directives("queue", memory, "embedded"), **of_topology}


def end(folder: Path) -> None:
    for claim in folder.rglob("claim.json"):
        if running := process.find(ServerFolder(claim.parent)):
            with contextlib.suppress(psutil.NoSuchProcess):
                running.kill()
                running.wait(10)


def kill(spec: GroupSpec, *names: str) -> None:
    for name in names:
        running = process.find(spec.all_servers[name].folder)
        assert running is not None
        running.kill()
        running.wait(10)


def pids(spec: GroupSpec) -> dict[str, int]:
    found = {name: process.find(node.folder) for name, node in spec.all_servers.items()}
    return {name: running.pid for name, running in found.items() if running}


def client_of(spec: GroupSpec, user: str = "app") -> Client:
    """As an application connects: by the nodes, and the Sentinels where there are some."""
    nodes = [Node(member.host, member.port) for member in spec.members]
    watching = tuple(Node(ports.HOST, ports.configured(known.folder)) for known in spec.sentinels.values())
    first, *others = nodes
    return connect(
        Address(
            first.host, first.port, username=user, password=PASSWORDS[user], topology=spec.topology,  # type: ignore[arg-type]  # never serverless
            fallback_nodes=tuple(others), sentinels=watching,
        )
    )  # fmt: skip


def primaries(spec: GroupSpec) -> list[str]:
    with contextlib.closing(ProcessExecutor(spec.all_servers)) as executor:
        if spec.topology == "cluster":
            return [member.name for member in cluster.primaries(executor, spec.members)]
        return [member.name for member in spec.members if replication.role(executor, member) == "master"]
