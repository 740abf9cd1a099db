"""Deployments of each topology, and the environment of an application that uses one, as `make env` writes it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from harness.docker import make_spec
from harness.docker import running as running_deployment
from harness.ports import APPLICATIONS, reserve
from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import group_driver, ports, process, server
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.group import GroupSpec
from infra.drivers.processes.running_server import ServerSpec
from infra.hardening import Topology
from stackctl import export

MEMORY = 64 * 1024**2
SHAPES: dict[Topology, tuple[int, int]] = {"single": (1, 0), "replicated": (1, 2), "cluster": (3, 1)}
"""Shards, and replicas of each."""


@dataclass(frozen=True)
class Application:
    """An application of a deployment: the user `app`.

    variables: the file that `make env` writes, dotenv.
    """

    endpoint: Endpoint
    variables: Path
    password: str = field(repr=False)
    admin: str = field(repr=False)

    @property
    def topology(self) -> str:
        return self.endpoint.topology

    def refused(self) -> set[str]:
        """What any server, Sentinels too, has refused the user since the last time: commands, keys, channels."""
        found = set()
        for node in (*self.endpoint.nodes, *self.endpoint.sentinels):
            address = self.endpoint.address(hardening.ADMIN, self.admin).at(node)
            with connect(address, ca=self.endpoint.ca) as client:
                found |= {entry["object"] for entry in client.acl_log() if entry["username"] == "app"}
                client.acl_log_reset()
        return found


def awkward_password() -> str:
    """A random one with every character that has a meaning in URLs and shells."""
    return f":/@?#%&+ '\"$\\{secrets.token_urlsafe(16)}"


@contextlib.contextmanager
def embedded(topology: Topology, folder: Path) -> Iterator[Application]:
    """Servers of the embedded target; yields an application of them.

    With replicas, the primary isn't the one that the URL names any more: a client has to ask the Sentinels.
    """
    passwords = {user.name: secrets.token_urlsafe(24) for user in (*hardening.USERS, *hardening.SYSTEM_USERS)}
    passwords["app"] = awkward_password()
    try:
        start = _single if topology == "single" else _group
        endpoint = start(topology, folder, passwords)
        yield _application(endpoint, passwords, folder)
    finally:
        _end(folder)


@contextlib.contextmanager
def docker(topology: Topology, folder: Path) -> Iterator[Application]:
    """Containers of the docker target, TLS only; yields an application of them."""
    spec = make_spec(folder, topology)
    passwords = {**spec.secrets.passwords, "app": awkward_password()}
    with running_deployment(replace(spec, secrets=replace(spec.secrets, passwords=passwords))) as running:
        yield _application(running.endpoint, passwords, folder)


TARGETS: dict[str, Callable[[Topology, Path], contextlib.AbstractContextManager[Application]]] = {
    "embedded": embedded,
    "docker": docker,
}


def _single(_topology: Topology, folder: Path, passwords: Mapping[str, str]) -> Endpoint:
    spec = ServerSpec(
        folder=ServerFolder(folder / "server"),
        ownership=Ownership("valkey/clients", "clients", binary.version()),
        port=reserve(APPLICATIONS),
        directives=hardening.directives("queue", MEMORY, "embedded"),
        acl=hardening.acl(passwords),
        password=passwords[hardening.ADMIN],
    )
    server.ensure(spec)
    return _endpoint("single", [spec.port], [])


def _group(topology: Topology, folder: Path, passwords: Mapping[str, str]) -> Endpoint:
    shards, replicas = SHAPES[topology]
    of_topology = hardening.topology_directives(topology, replicas)
    spec = GroupSpec(
        folder=ServerFolder(folder / "servers"),
        ownership=Ownership("valkey/clients", "clients", binary.version(), topology=topology, shards=shards),
        topology=topology,
        shards=shards,
        replicas=replicas,
        port=reserve(APPLICATIONS),
        directives={**hardening.directives("queue", MEMORY, "embedded"), **of_topology},
        acl=hardening.acl(passwords, hardening.node_users(topology)),
        sentinel_acl=hardening.acl(passwords, hardening.SENTINEL_USERS),
        passwords=passwords,
    )
    state = group_driver.ensure(spec)
    if topology == "replicated":
        group_driver.fail_over(spec)
    return _endpoint(topology, state.listens, state.sentinels)


def _endpoint(topology: Topology, listens: Sequence[int], sentinels: Sequence[int]) -> Endpoint:
    return Endpoint(
        target="embedded",
        topology=topology,
        nodes=tuple(Node(ports.HOST, port) for port in listens),
        tls=False,
        version=binary.version(),
        workload="queue",
        maxmemory=MEMORY,
        users=tuple(user.name for user in hardening.USERS),
        sentinels=tuple(Node(ports.HOST, port) for port in sentinels),
    )


def _application(endpoint: Endpoint, passwords: Mapping[str, str], folder: Path) -> Application:
    variables = endpoint.variables(endpoint.url("app", passwords["app"]))
    file = export.write(folder, endpoint.topology, variables, "dotenv", folder / f"{endpoint.topology}.env")
    return Application(endpoint, file, passwords["app"], passwords[hardening.ADMIN])


def _end(folder: Path) -> None:
    for claim in folder.rglob("claim.json"):
        if running := process.find(ServerFolder(claim.parent)):
            with contextlib.suppress(psutil.NoSuchProcess):
                running.kill()
                running.wait(10)
