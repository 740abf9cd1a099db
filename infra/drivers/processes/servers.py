"""The driver of several servers that belong together: bring them into a state, look at them, take them down.

`ensure` can be killed at any moment and run again. It knows nothing of Pulumi.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from infra.drivers import binary
from infra.drivers.processes import cluster_import, group, instance, ports, process, server
from infra.drivers.processes.cluster_driver import ClusterDriver
from infra.drivers.processes.folder import DAMAGED, FINAL
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.instance import ServerSpec
from infra.drivers.processes.replication_driver import ReplicationDriver
from infra.errors import ProvisioningError, as_preflight_error


class TopologyDriver(Protocol):
    """What differs between a primary with replicas and a cluster."""

    def preflight(self) -> None:
        """Raise what `bring_up` would, before anything is changed: no node of a shard has usable data."""

    def bring_up(self, source: Path | None) -> None:
        """Start every node that doesn't run, in a role that loses no write."""

    def join(self) -> None:
        """Bring the nodes, which all run, together, and wait until they are."""

    def fill(self, source: Path) -> None:
        """Restore what `bring_up` hasn't."""

    def fail_over(self, name: str) -> None:
        """Make a replica of a primary the primary; no acknowledged write is lost."""

    def restart(self, name: str) -> None:
        """Restart a node without a loss; a primary hands over first."""

    def primaries(self) -> list[str]:
        """The nodes that take writes."""

    def data_holders(self) -> list[str]:
        """The nodes, dead or alive, that hold all of the data between them."""

    def problems(self) -> Iterator[str]:
        """What is wrong between nodes that all run, a line each."""


@dataclass(frozen=True)
class GroupState:
    """What the servers are.

    listens: the nodes' ports, those of primaries first. sentinels: the Sentinels'.
    reported: each node's directives and a digest of its users, as it reports them itself.
    problems: what is wrong between them, a line each.
    """

    listens: Sequence[int]
    sentinels: Sequence[int]
    version: str
    reported: Mapping[str, Mapping[str, str]]
    problems: Sequence[str]


def ensure(spec: GroupSpec) -> GroupState:
    """Make the servers be as the spec says, with as little disturbance as that takes.

    Settings are changed live; where one needs a restart, the nodes are restarted one by one, replicas first.

    Raises:
        ProvisioningError: the spec can't be had.
    """
    with as_preflight_error():
        preflight(spec)
    with instance.one_error(spec.folder), _topology_driver(spec) as driver:
        return _ensure(spec, driver)


def preflight(spec: GroupSpec) -> None:
    """Raise what `ensure` would, as far as it can be known before anything is changed."""
    if problem := spec.folder.validation_error(spec.ownership):
        raise problem
    ownership = spec.folder.ownership()
    if ownership is None or ownership.restoring:
        return
    with instance.one_error(spec.folder), _topology_driver(spec) as driver:
        driver.preflight()
        for node in spec.nodes.values():
            instance.preflight(node)


def inspect(spec: GroupSpec) -> GroupState:
    """How the servers are now."""
    with _topology_driver(spec) as driver:
        return _inspect(spec, driver)


def fail_over(spec: GroupSpec) -> None:
    """Make a replica the primary of each shard, and wait until the others follow.

    Raises:
        ProvisioningError: the servers aren't whole, so nothing was touched; or no replica took over.
    """
    with instance.one_error(spec.folder), _topology_driver(spec) as driver:
        if problems := _inspect(spec, driver).problems:
            raise ProvisioningError(f"nothing was changed: {'; '.join(problems)}", fix="make up, then again")
        for name in driver.primaries():
            driver.fail_over(name)
        driver.join()


def remove(spec: GroupSpec, *, keep_snapshot: bool) -> None:
    """Stop the servers and remove their data; with `keep_snapshot`, leave the last state: an RDB file, or a folder
    of one for each primary of a cluster.

    Does nothing to a folder that another resource claimed since.
    """
    ownership = spec.folder.ownership()
    if ownership is None or ownership.resource != spec.ownership.resource:
        return
    with _topology_driver(spec) as driver:
        data_holders = driver.data_holders() if keep_snapshot else []
    if keep_snapshot:
        _collect_damaged(spec)
    for name in sorted(spec.all_servers, key=lambda name: name in data_holders):  # the others first
        node = spec.all_servers[name]
        if known := node.folder.ownership():
            server.remove(replace(node, ownership=known), keep_snapshot=name in data_holders)
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
    group.stop([known for known in spec.all_servers.values() if _rejects_password(known)])
    # Before anybody uses a new password: a Sentinel whose login failed once takes its node for dead.
    stale = [name for name in group.running(spec.nodes) if not _apply_live(spec.nodes[name])]
    driver.bring_up(Path(source) if source else None)
    driver.join()
    primaries = driver.primaries()
    for name in sorted(stale, key=lambda name: name in primaries):  # replicas first
        driver.restart(name)
    if source:
        driver.fill(Path(source))
        spec.folder.acquire(spec.ownership)
    return _inspect(spec, driver)


def _rejects_password(spec: ServerSpec) -> bool:
    """True for one that doesn't know the password: the state was lost and made anew."""
    running = process.find(spec.folder)
    if running is None:
        return False
    client = instance.login(spec, running)
    if client:
        client.close()
    return client is None


def _apply_live(spec: ServerSpec) -> bool:
    running = process.find(spec.folder)
    client = instance.login(spec, running) if running else None
    if client is None:
        raise ProvisioningError(f"{spec.folder.path.name} has just ended", fix=f"read {spec.folder.log}")
    with client:
        return instance.apply_live(spec, client)


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
    """Move what was set aside out of the nodes' folders, which are removed."""
    for name, node in spec.nodes.items():
        for damaged in node.folder.path.glob(f"{DAMAGED}*"):
            damaged.rename(spec.folder.path / f"{damaged.name}-{name}")


def _collect_snapshots(spec: GroupSpec) -> None:
    """Move what the nodes left to where a single server's lies."""
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
