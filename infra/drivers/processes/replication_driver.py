"""The topology driver of a primary with replicas and three Sentinels on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from infra import hardening
from infra.drivers.processes import group, holdings, ports, sentinel, server
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.holdings import Holding
from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import NodeAddress, reachable
from infra.errors import ProvisioningError


class ReplicationDriver:
    """The topology driver of a replicated group; see servers.TopologyDriver."""

    def __init__(self, spec: GroupSpec, executor: ProcessExecutor) -> None:
        self._spec = spec
        self._executor = executor
        self._sentinels = list(spec.sentinels)

    def preflight(self) -> None:
        """See servers.TopologyDriver."""
        group.check_folders(self._spec)
        self._choose()

    def bring_up(self, source: Path | None) -> None:
        """Start the primary first, so that no other node becomes one."""
        if not source:
            group.keep_ports(self._spec.nodes, self._known_ports())
            group.keep_ports(self._spec.sentinels, self._known_ports("known-sentinel"))
        serving = self._wait_for_sentinels()
        if source:  # the files of a killed restore don't count
            primary = serving or self._remembered()
            server.ensure(replace(self._spec.nodes[primary], restore_from=source))
        else:
            primary, surveyed = self._choose()
            holdings.set_aside_damaged(self._spec, surveyed)
            if primary in surveyed:
                primary = self._install(primary, surveyed)
        for name, spec in self._spec.nodes.items():
            if name not in group.running(self._spec.nodes):
                group.start(spec, *self._as_replica_of(self._spec.member(primary)))

    def join(self) -> None:
        primary = self._primary()
        replication.attach_replicas(self._executor, primary, self._spec.members)
        replication.wait_until_attached(self._executor, primary, self._spec.replicas)
        self._start_sentinels(primary)
        replication.wait_until_in_sync(self._executor, primary, self._spec.members)
        replication.wait_until_monitored(self._executor, self._sentinels, primary, self._spec.replicas)

    def restore(self, source: Path) -> None:
        """Nothing to do: the primary has loaded the file, and the replicas copy it."""

    def fail_over(self, name: str) -> None:
        replication.fail_over(self._executor, self._sentinels, self._spec.members, self._spec.member(name))

    def restart(self, name: str) -> None:
        if name == self._primary().name:
            self.fail_over(name)
        primary = self._primary()
        self._executor.forget(name)
        group.stop([self._spec.nodes[name]])
        group.start(self._spec.nodes[name], *self._as_replica_of(primary))
        self.join()

    def primaries(self) -> list[str]:
        """According to the Sentinels; if none runs, the only primary, or the last one that they stored."""
        named = replication.primary_by_sentinels(self._executor, self._sentinels, self._spec.members)
        primary = named or replication.self_reported_primary(self._executor, self._spec.members)
        return [primary.name if primary else self._remembered()]

    def nodes_with_data(self) -> list[str]:
        try:
            return [self._choose()[0]]
        except ProvisioningError:  # no data can be loaded, so nothing is removed
            return list(self._spec.nodes)

    def problems(self) -> Iterator[str]:
        primary = self._spec.member(self.primaries()[0])
        if replication.role(self._executor, primary) != "master":
            yield f"{primary.name} is not a primary, although the Sentinels report it"
        yield from replication.replication_problems(self._executor, primary, self._spec.members)
        yield from replication.sentinel_problems(self._executor, self._sentinels, primary, self._spec.replicas)

    def _serving(self) -> str | None:
        """The running primary; None if it is down or unknown."""
        live = reachable(self._executor, self._spec.members)
        named = replication.primary_by_sentinels(self._executor, self._sentinels, self._spec.members)
        name = named.name if named else self._remembered() if self._sentinels_remember() else None
        if name is None and (acting := replication.self_reported_primary(self._executor, live)):
            name = acting.name
        return name if name in [member.name for member in live] else None

    def _choose(self) -> tuple[str, dict[str, Holding]]:
        """The node that becomes the primary, and the nodes' holdings: of all nodes if the primary is down.

        Raises:
            ProvisioningError: no node has usable data.
        """
        running = group.running(self._spec.nodes)
        if serving := self._serving():
            dead = [name for name in self._spec.nodes if name not in running]
            return serving, holdings.survey(self._spec, self._executor, dead)
        surveyed = holdings.survey(self._spec, self._executor, self._spec.nodes)
        preferred = next(iter(running), self._remembered())  # otherwise the Sentinels might select it meanwhile
        return holdings.choose_primary(surveyed, preferred, existed=self._sentinels_remember()), surveyed

    def _wait_for_sentinels(self) -> str | None:
        """The running primary, once all Sentinels run and agree on it."""
        if self._serving() and self._sentinels_remember():
            self._start_sentinels(self._spec.member(self._remembered()))
            return replication.wait_for_primary(self._executor, self._sentinels, self._spec.members).name
        return self._serving()

    def _install(self, primary: str, surveyed: Mapping[str, Holding]) -> str:
        """Make a node the primary: by a Sentinel failover if no replica has less data, else directly."""
        replicas = group.running(self._spec.nodes)
        has_lesser = any(holdings.is_ahead(surveyed[primary], surveyed[name]) for name in replicas)
        if primary in replicas and self._sentinels_remember() and not has_lesser:
            dead = self._spec.member(self._remembered())
            with contextlib.suppress(ProvisioningError):  # they accept no replica
                self._start_sentinels(dead)
                return replication.fail_over(self._executor, self._sentinels, self._spec.members, dead).name
        if replicas or primary != self._remembered():  # they would select another, or are about to
            for spec in self._spec.sentinels.values():
                sentinel.forget(spec.folder)
        if primary in replicas:
            self._executor.run(primary, "REPLICAOF", "NO", "ONE")
        else:
            group.start(self._spec.nodes[primary])
        return primary

    def _sentinels_remember(self) -> bool:
        return any(sentinel.remembered_state(spec.folder) for spec in self._spec.sentinels.values())

    def _remembered(self) -> str:
        address = sentinel.last_primary([spec.folder for spec in self._spec.sentinels.values()])
        assigned = group.assigned_ports(self._spec.nodes, self._known_ports())
        names = {f"{ports.HOST}:{port}": name for name, port in assigned.items()}
        return names.get(address or "", next(iter(self._spec.nodes)))

    def _known_ports(self, *kinds: str) -> list[int]:
        folders = [spec.folder for spec in self._spec.sentinels.values()]
        return sentinel.known_ports(folders, *(kinds or ("monitor", "known-replica")))

    def _primary(self) -> NodeAddress:
        return self._spec.member(self.primaries()[0])

    def _start_sentinels(self, primary: NodeAddress) -> None:
        watcher = self._spec.passwords[hardening.SENTINEL]
        for spec in self._spec.sentinels.values():
            sentinel.ensure(spec, primary, len(self._sentinels), watcher)

    def _as_replica_of(self, primary: NodeAddress) -> tuple[str, str]:
        return "--replicaof", f"{primary.host} {primary.port}"
