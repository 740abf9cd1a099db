"""The topology driver of clusters on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.drivers.files import write_private
from infra.drivers.processes import cluster_import, group, holdings, ports, process
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.holdings import Holding
from infra.drivers.topology import cluster, nodesconf
from infra.drivers.topology.nodesconf import NodesConf
from infra.errors import ProvisioningError


@dataclass(frozen=True)
class ShardPlan:
    """leader: the node that becomes the primary. surveyed: the holdings of its nodes that were read."""

    leader: str
    surveyed: dict[str, Holding]


class ClusterDriver:
    """The topology driver of a cluster; see servers.TopologyDriver."""

    def __init__(self, spec: GroupSpec, executor: ProcessExecutor) -> None:
        self._spec = spec
        self._executor = executor

    def preflight(self) -> None:
        """See servers.TopologyDriver."""
        group.check_folders(self._spec)
        self._shards()

    def bring_up(self, source: Path | None) -> None:  # noqa: ARG002 — an empty cluster is filled once it is healthy
        """Start the node of each shard with the most data, make it the primary, then start the others."""
        if view := nodesconf.most_up_to_date(self._confs().values()):
            group.keep_ports(self._spec.nodes, _ports(view))
            self._update_addresses()
        shards = self._shards()
        leaders = [shard.leader for shard in shards]
        self._set_aside(shards)
        alive = group.running(self._spec.nodes)
        first = [name for name in leaders if name not in alive]
        for name in first:
            group.start(self._spec.nodes[name])
        self._promote(leaders)
        for name in self._spec.nodes:
            if name not in (*alive, *first):
                group.start(self._spec.nodes[name])

    def join(self) -> None:
        cluster.form(self._executor, self._spec.members, self._spec.shards)

    def restore(self, source: Path) -> None:
        cluster_import.import_files(self._spec, self._executor, source)

    def fail_over(self, name: str) -> None:
        cluster.fail_over(self._executor, self._spec.members, self._spec.member(name))

    def restart(self, name: str) -> None:
        if self._spec.replicas and name in self.primaries():
            self.fail_over(name)
        self._executor.forget(name)
        group.stop([self._spec.nodes[name]])
        group.start(self._spec.nodes[name])
        self.join()

    def primaries(self) -> list[str]:
        return [member.name for member in cluster.primaries(self._executor, self._spec.members)]

    def nodes_with_data(self) -> list[str]:
        try:
            return [shard.leader for shard in self._shards()]
        except ProvisioningError:  # no data of a shard can be loaded, so nothing is removed
            return list(self._spec.nodes)

    def problems(self) -> Iterator[str]:
        yield from cluster.problems(self._executor, self._spec.members)

    def _confs(self) -> dict[str, NodesConf | None]:
        return {name: nodesconf.read(spec.folder.data) for name, spec in self._spec.nodes.items()}

    def _shards(self) -> list[ShardPlan]:
        """The shards that have slots, with the node of each that becomes its primary.

        Raises:
            ProvisioningError: no node of a shard has usable data, or no node knows the cluster.
        """
        confs = self._confs()
        view = nodesconf.most_up_to_date(confs.values())
        if view is None:
            surveyed = holdings.survey(self._spec, self._executor, self._spec.nodes)
            if any(holding.is_sound or holding.damage for holding in surveyed.values()):
                raise ProvisioningError(
                    "nothing was changed, as no node has a usable nodes.conf, so the owners of the slots are unknown",
                    fix="restore a backup: make restore",
                )
            return []
        assigned = group.assigned_ports(self._spec.nodes, _ports(view))
        addresses = {f"{ports.HOST}:{port}": name for name, port in assigned.items()}
        shards = {view.shards.get(node.id, node.id) for node in view.nodes if node.slots}
        return [self._shard(shard, view, confs, addresses) for shard in sorted(shards)]

    def _shard(
        self, shard: str, view: NodesConf, confs: dict[str, NodesConf | None], addresses: dict[str, str]
    ) -> ShardPlan:
        located = {addresses.get(node.address): view.shards.get(node.id, node.id) for node in view.nodes}
        members = {
            name: conf
            for name, conf in confs.items()
            if (conf.shards.get(conf.own.id, conf.own.id) if conf else located.get(name)) == shard
        }
        if not members:
            raise ProvisioningError(
                "nothing was changed, as no node of a shard is left", fix="restore a backup: make restore"
            )
        claims = {name: conf.own_epoch for name, conf in members.items() if conf and conf.own.slots}
        running = group.running(self._spec.nodes)
        if serving := [name for name in claims if name in running]:
            leader = max(serving, key=lambda name: claims[name])
            surveyed = holdings.survey(self._spec, self._executor, [name for name in members if name not in running])
            return ShardPlan(leader, surveyed)
        surveyed = holdings.survey(self._spec, self._executor, members)
        listed = [addresses[node.address] for node in view.nodes if node.slots and node.address in addresses]
        preferred = max(claims, key=lambda name: claims[name], default="")
        preferred = preferred or next((name for name in listed if name in members), next(iter(members), ""))
        return ShardPlan(holdings.choose_primary(surveyed, preferred, existed=True), surveyed)

    def _set_aside(self, shards: Sequence[ShardPlan]) -> None:
        """Set the data of nodes aside that can't load it or have no usable nodes.conf: such a node would claim slots
        for its keys.
        """
        confs, leaders = self._confs(), [shard.leader for shard in shards]
        surveyed = {name: holding for shard in shards for name, holding in shard.surveyed.items()}
        view = nodesconf.most_up_to_date(confs.values())
        for name, spec in self._spec.nodes.items():
            if process.find(spec.folder) or not any(spec.folder.data.glob("*")):
                continue
            if name in leaders:
                if confs[name] is None and view:
                    self._rebuild_conf(name, view)
                continue
            holding = surveyed.get(name) or holdings.read(spec.folder.data)
            if holding.damage or confs[name] is None:
                holdings.set_aside(spec.folder, holding.damage or f"it has no usable {nodesconf.FILE}")

    def _update_addresses(self) -> None:
        """Write where each node listens now to the nodes.conf of those that are down.

        A replica that looks for its primary at a previous port could copy the data of another shard from there.
        """
        confs = self._confs()
        addresses = {
            conf.own.id: f"{member.host}:{member.port}@{member.port + cluster.BUS_OFFSET}"
            for member in self._spec.members
            if (conf := confs[member.name])
        }
        for name, conf in confs.items():
            folder = self._spec.nodes[name].folder
            if conf and process.find(folder) is None and (text := nodesconf.relocated(conf, addresses)) != conf.text:
                write_private(folder.data / nodesconf.FILE, text)

    def _rebuild_conf(self, name: str, view: NodesConf) -> None:
        member = self._spec.member(name)
        if identity := nodesconf.identity([view], member.host, member.port):
            text = nodesconf.rebuilt(view, identity)
            write_private(self._spec.nodes[name].folder.data / nodesconf.FILE, text)

    def _promote(self, leaders: Sequence[str]) -> None:
        """Make each a primary with its shard's slots."""
        members = [self._spec.member(name) for name in leaders]
        replicas = [member for member in members if member not in cluster.primaries(self._executor, members)]
        for member in replicas:
            cluster.take_over(self._executor, members, member)


def _ports(view: NodesConf) -> list[int]:
    return [int(node.address.rpartition(":")[2]) for node in view.nodes]
