"""The driver of a server group: create, update, inspect, fail over and remove it.

`ensure` can be killed at any moment and run again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from infra.drivers import binary
from infra.drivers.processes import cluster_import, group, ports, process, running_server, server
from infra.drivers.processes.cluster_driver import ClusterDriver
from infra.drivers.processes.folder import DAMAGED, FINAL
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.replication_driver import ReplicationDriver
from infra.drivers.processes.running_server import ServerSpec
from infra.errors import ProvisioningError, as_preflight_error


class TopologyDriver(Protocol):
    """The operations that differ between a primary with replicas and a cluster."""

    def preflight(self) -> None:
        """Check in advance that `bring_up` can succeed: a node of each shard has usable data."""

    def bring_up(self, source: Path | None) -> None:
        """Start every node that doesn't run, in a role in which no write is lost."""

    def join(self) -> None:
        """Connect the nodes, which all run, and wait until the group is healthy."""

    def restore(self, source: Path) -> None:
        """Restore the data that `bring_up` has not restored."""

    def fail_over(self, name: str) -> None:
        """Fail over a primary to a replica; no acknowledged write is lost."""

    def restart(self, name: str) -> None:
        """Restart a node without data loss; a primary fails over first."""

    def primaries(self) -> list[str]:
        """The nodes that accept writes."""

    def nodes_with_data(self) -> list[str]:
        """The nodes, running or not, that together have all of the data."""

    def problems(self) -> Iterator[str]:
        """Problems between nodes that all run, a line each."""


@dataclass(frozen=True)
class GroupState:
    """The current state of a server group.

    listens: the nodes' ports, those of primaries first. sentinels: the Sentinels'.
    reported: each node's directives and a digest of its users, as it reports them itself.
    problems: a line each.
    """

    listens: Sequence[int]
    sentinels: Sequence[int]
    version: str
    reported: Mapping[str, Mapping[str, str]]
    problems: Sequence[str]


def ensure(spec: GroupSpec) -> GroupState:
    """Create or update the group, with as little disruption as possible.

    Settings are changed live where that is possible; otherwise the nodes are restarted one by one, replicas first.

    Raises:
        ProvisioningError: it can't be created or updated.
    """
    with as_preflight_error():
        preflight(spec)
    with running_server.as_provisioning_error(spec.folder), _topology_driver(spec) as driver:
        return _ensure(spec, driver)


def preflight(spec: GroupSpec) -> None:
    """Check in advance that `ensure` can succeed; nothing is changed."""
    if problem := spec.folder.validation_error(spec.ownership):
        raise problem
    ownership = spec.folder.ownership()
    if ownership is None or ownership.restoring:
        return
    with running_server.as_provisioning_error(spec.folder), _topology_driver(spec) as driver:
        driver.preflight()
        for node in spec.nodes.values():
            running_server.preflight(node)


def inspect(spec: GroupSpec) -> GroupState:
    """The current state of the group."""
    with running_server.as_provisioning_error(spec.folder), _topology_driver(spec) as driver:
        return _inspect(spec, driver)


def fail_over(spec: GroupSpec) -> None:
    """Fail over each shard to a replica, and wait until the group is healthy.

    Raises:
        ProvisioningError: the group isn't healthy, so nothing was changed; or no replica took over.
    """
    with running_server.as_provisioning_error(spec.folder), _topology_driver(spec) as driver:
        if problems := _inspect(spec, driver).problems:
            raise ProvisioningError(f"nothing was changed: {'; '.join(problems)}", fix="make up, then again")
        for name in driver.primaries():
            driver.fail_over(name)
        driver.join()


def remove(spec: GroupSpec, *, keep_snapshot: bool) -> None:
    """Stop the servers and remove their data; with `keep_snapshot`, leave a snapshot: an RDB file, or for a cluster a
    folder with a file for each primary.

    Does nothing if another resource owns the folder now.
    """
    ownership = spec.folder.ownership()
    if ownership is None or ownership.resource != spec.ownership.resource:
        return
    with _topology_driver(spec) as driver:
        nodes_with_data = driver.nodes_with_data() if keep_snapshot else []
    if keep_snapshot:
        _collect_damaged(spec)
    for name in sorted(spec.all_servers, key=lambda name: name in nodes_with_data):  # the others first
        node = spec.all_servers[name]
        if owner := node.folder.ownership():
            server.remove(replace(node, ownership=owner), keep_snapshot=name in nodes_with_data)
    cluster_import.discard(spec)
    _collect_snapshots(spec)
    spec.folder.release(keep_snapshot=keep_snapshot)


@contextlib.contextmanager
def _topology_driver(spec: GroupSpec) -> Iterator[TopologyDriver]:
    with contextlib.closing(ProcessExecutor(spec.all_servers)) as executor:
        yield ClusterDriver(spec, executor) if spec.topology == "cluster" else ReplicationDriver(spec, executor)


def _ensure(spec: GroupSpec, driver: TopologyDriver) -> GroupState:
    previous = spec.folder.ownership()
    source = str(spec.restore_from or "") if previous is None else previous.restoring
    spec.folder.acquire(replace(spec.ownership, restoring=source))
    group.stop([member for member in spec.all_servers.values() if _rejects_password(member)])
    # Before a client uses a new password: a Sentinel whose login failed once reports its node as down.
    stale = [name for name in group.running(spec.nodes) if not _apply_live(spec.nodes[name])]
    driver.bring_up(Path(source) if source else None)
    driver.join()
    primaries = driver.primaries()
    for name in sorted(stale, key=lambda name: name in primaries):  # replicas first
        driver.restart(name)
    if source:
        driver.restore(Path(source))
        spec.folder.acquire(spec.ownership)
    return _inspect(spec, driver)


def _rejects_password(spec: ServerSpec) -> bool:
    """Whether a running server rejects the password, as after the state was lost and created again."""
    running = process.find(spec.folder)
    if running is None:
        return False
    client = running_server.login(spec, running)
    if client:
        client.close()
    return client is None


def _apply_live(spec: ServerSpec) -> bool:
    running = process.find(spec.folder)
    client = running_server.login(spec, running) if running else None
    if client is None:
        raise ProvisioningError(f"{spec.folder.path.name} has ended unexpectedly", fix=f"read {spec.folder.log}")
    with client:
        return running_server.apply_live(spec, client)


def _inspect(spec: GroupSpec, driver: TopologyDriver) -> GroupState:
    reported = {}
    problems = []
    for name, node in spec.all_servers.items():
        if process.find(node.folder) is None:
            problems.append(f"{name} doesn't run")
        elif _rejects_password(node):
            problems.append(f"{name} rejects the password")
        elif name in spec.nodes and (state := server.inspect(node)):
            reported[name] = {**state.directives, "users": state.acl, "port": str(state.port)}
    first: list[str] = []
    if not problems:
        try:
            problems += driver.problems()
            first = driver.primaries()
        except ProvisioningError as problem:
            problems.append(str(problem.args[0]))
    names = sorted(spec.nodes, key=lambda name: name not in first)
    return GroupState(
        listens=[ports.configured(spec.nodes[name].folder) for name in names],
        sentinels=[ports.configured(sentinel.folder) for sentinel in spec.sentinels.values()],
        version=binary.version(),
        reported=reported,
        problems=problems,
    )


def _collect_damaged(spec: GroupSpec) -> None:
    """Move data that was set aside out of the nodes' folders, which are removed."""
    for name, node in spec.nodes.items():
        for damaged in node.folder.path.glob(f"{DAMAGED}*"):
            damaged.rename(spec.folder.path / f"{damaged.name}-{name}")


def _collect_snapshots(spec: GroupSpec) -> None:
    """Move the nodes' snapshots to the group's folder."""
    left = [(name, file) for name, node in spec.nodes.items() for file in node.folder.path.glob(f"{FINAL}*")]
    for name, file in left:
        target = spec.folder.path / (file.name if len(left) == 1 else f"{file.stem}-{name}{file.suffix}")
        if spec.topology == "cluster":
            folder = spec.folder.path / max(file.stem for _, file in left)
            folder.mkdir(mode=0o700, exist_ok=True)
            target = folder / f"{name}{file.suffix}"
        file.replace(target)
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
