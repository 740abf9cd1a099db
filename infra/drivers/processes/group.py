"""Server groups on this machine: their specification, the server folders in a group's folder, and the node executor.

node-0/ node-1/ …    sentinel-0/ …    a folder of each server
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import redis

from infra import hardening
from infra.drivers.files import write_private
from infra.drivers.processes import ports, process, running_server, sentinel
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.layout import port_offsets
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology.node_executor import CommandRejectedError, NodeAddress, NotRespondingError
from infra.hardening import Topology


@dataclass(frozen=True)
class GroupSpec:
    """The desired state of a server group.

    port: the first of consecutive ports; 0 for the previous ones, else free ones.
    replicas: of each primary.
    passwords: of the users admin, replica and sentinel.
    previous_password: an administrator's password that running servers may still have.
    restore_from: an RDB file that new servers start with, for a cluster also a folder of several.
    """

    folder: ServerFolder
    ownership: Ownership
    topology: Topology
    shards: int
    replicas: int
    port: int
    directives: Mapping[str, str]
    acl: str = field(repr=False)
    sentinel_acl: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    restore_from: Path | None = None
    previous_password: str = field(repr=False, default="")

    @property
    def nodes(self) -> dict[str, ServerSpec]:
        """Each node by its name; the first `shards` are the first primaries."""
        return {
            name: self._node(name, number) for name, number in self._port_offsets.items() if name.startswith("node")
        }

    @property
    def sentinels(self) -> dict[str, ServerSpec]:
        return {
            name: self._server(name, number, sentinel.DIRECTIVES, self.sentinel_acl, {})
            for name, number in self._port_offsets.items()
            if name.startswith("sentinel")
        }

    @property
    def all_servers(self) -> dict[str, ServerSpec]:
        """Sentinels first, as they react to a node that is down."""
        return {**self.sentinels, **self.nodes}

    @property
    def members(self) -> list[NodeAddress]:
        """The nodes that have run before and so have an address."""
        configured = [(name, spec.port, ports.configured(spec.folder)) for name, spec in self.nodes.items()]
        return [NodeAddress(name, ports.HOST, port or kept) for name, port, kept in configured if port or kept]

    def member(self, name: str) -> NodeAddress:
        return next(member for member in self.members if member.name == name)

    @property
    def _port_offsets(self) -> dict[str, int]:
        return port_offsets(self.topology, self.shards, self.replicas)

    def _node(self, name: str, number: int) -> ServerSpec:
        login = {"masteruser": hardening.REPLICA, "masterauth": self.passwords[hardening.REPLICA]}
        return self._server(name, number, self.directives, self.acl, login)

    def _server(
        self, name: str, number: int, directives: Mapping[str, str], acl: str, secrets: Mapping[str, str]
    ) -> ServerSpec:
        return ServerSpec(
            folder=ServerFolder(self.folder.path / name),
            ownership=replace(self.ownership, topology="single", shards=1, restoring=""),
            port=self.port + number if self.port else 0,
            directives=directives,
            acl=acl,
            password=self.passwords[hardening.ADMIN],
            secrets=secrets,
            previous_password=self.previous_password,
        )


class ProcessExecutor:
    """The node executor of servers on this machine, with a persistent connection to each."""

    def __init__(self, specs: Mapping[str, ServerSpec]) -> None:
        self._specs = specs
        self._clients: dict[str, redis.Redis] = {}

    def run(self, node: str, *command: str) -> Any:
        """See NodeExecutor."""
        was_connected = node in self._clients
        try:
            try:
                return self._client(node).execute_command(*command)
            except redis.ConnectionError:  # a Sentinel closes the connections of a node that it demotes
                self.forget(node)
                if not was_connected:
                    raise
                return self._client(node).execute_command(*command)
        except redis.ResponseError as refusal:
            raise CommandRejectedError(f"{node}: {refusal}") from None
        except (redis.RedisError, OSError) as problem:
            self.forget(node)
            raise NotRespondingError(f"{node} doesn't respond: {type(problem).__name__}") from None

    def run_many(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """See NodeExecutor."""
        return [self.run(node, *command) for command in commands]

    @contextlib.contextmanager
    def session(self, node: str) -> Iterator[Callable[..., Any]]:
        """See NodeExecutor."""
        with contextlib.closing(ProcessExecutor(self._specs)) as own:
            yield partial(own.run, node)

    def forget(self, node: str) -> None:
        """Close the connection, as the server is about to be replaced."""
        if client := self._clients.pop(node, None):
            client.close()

    def close(self) -> None:
        for node in list(self._clients):
            self.forget(node)

    def _client(self, node: str) -> redis.Redis:
        if node not in self._clients:
            spec = self._specs[node]
            running = process.find(spec.folder)  # the password is never sent to another program on the port
            client = running_server.login(spec, running) if running else None
            if client is None:
                raise NotRespondingError(f"{node} doesn't run, or rejects the password")
            client.response_callbacks.clear()
            self._clients[node] = client
        return self._clients[node]


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


def running(specs: Mapping[str, ServerSpec]) -> list[str]:
    """The names of running servers."""
    return [name for name, spec in specs.items() if process.find(spec.folder)]


def start(spec: ServerSpec, *options: str) -> None:
    """Start a node that doesn't run."""
    if problem := spec.folder.validation_error(spec.ownership):
        raise problem
    spec.folder.acquire(spec.ownership)
    running_server.start(spec, *options).close()


def stop(specs: Sequence[ServerSpec]) -> None:
    """Stop running servers; each saves its data first."""
    for spec in specs:
        if server := process.find(spec.folder):
            process.stop(server)
