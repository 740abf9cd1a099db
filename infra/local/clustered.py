"""The driver of a cluster on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.local import cluster, distribution, group
from infra.local.console import answering
from infra.local.group import Clients, GroupSpec


class Clustered:
    """See servers.Shape."""

    def __init__(self, spec: GroupSpec, clients: Clients) -> None:
        self._spec = spec
        self._clients = clients

    def bring_up(self, source: Path | None) -> None:  # noqa: ARG002 — an empty cluster is filled once it is whole
        cluster.hand_over_the_dead(self._clients, self._spec.members)
        alive = group.running(self._spec.nodes)
        for name, spec in self._spec.nodes.items():
            if name not in alive:
                group.start(spec)

    def join(self) -> None:
        cluster.form(self._clients, self._spec.members, self._spec.shards)

    def fill(self, source: Path) -> None:
        distribution.fill(self._spec, self._clients, source)

    def hand_over(self, name: str) -> None:
        cluster.fail_over(self._clients, self._spec.members, self._spec.member(name))

    def restart(self, name: str) -> None:
        if self._spec.replicas and name in self.primaries():
            self.hand_over(name)
        self._clients.forget(name)
        group.stop([self._spec.nodes[name]])
        group.start(self._spec.nodes[name])
        self.join()

    def primaries(self) -> list[str]:
        return [member.name for member in cluster.primaries(self._clients, self._spec.members)]

    def keepers(self) -> list[str]:
        """As the nodes that live see it; where none does, as each knew itself at last."""
        names = {member.address: member.name for member in self._spec.members}
        if live := answering(self._clients, self._spec.members):
            rows = cluster.rows(self._clients, live[0].name)
        else:
            files = [spec.folder.data / "nodes.conf" for spec in self._spec.nodes.values()]
            lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
            rows = [cluster.row(line) for line in lines if "myself" in line]
        return [names[row.address] for row in rows if row.is_primary and row.slots and row.address in names]

    def problems(self) -> Iterator[str]:
        yield from cluster.problems(self._clients, self._spec.members)
