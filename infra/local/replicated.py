"""The driver of a primary, its replicas and three Sentinels on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infra import hardening
from infra.errors import ProvisioningError
from infra.local import group, replication, sentinel, server
from infra.local.console import Member, answering
from infra.local.group import Clients, GroupSpec


class Replicated:
    """See servers.Shape."""

    def __init__(self, spec: GroupSpec, clients: Clients) -> None:
        self._spec = spec
        self._clients = clients
        self._sentinels = list(spec.sentinels)

    def bring_up(self, source: Path | None) -> None:
        """Start the primary first, so that nobody else is made one."""
        primary = self._settle_primary()
        if source:
            server.ensure(replace(self._spec.nodes[primary], restore_from=source))
        elif primary not in group.running(self._spec.nodes):
            group.start(self._spec.nodes[primary])
        for name, spec in self._spec.nodes.items():
            if name not in group.running(self._spec.nodes):
                group.start(spec, *self._as_replica_of(self._spec.member(primary)))

    def join(self) -> None:
        primary = self._primary()
        replication.follow(self._clients, primary, self._spec.members)
        replication.wait_until_attached(self._clients, primary, self._spec.replicas)
        self._start_sentinels(primary)
        replication.wait_until_in_sync(self._clients, primary, self._spec.members)
        replication.wait_until_watched(self._clients, self._sentinels, primary, self._spec.replicas)

    def fill(self, source: Path) -> None:
        """The primary has loaded it, the replicas have it from there."""

    def hand_over(self, name: str) -> None:
        replication.fail_over(self._clients, self._sentinels, self._spec.members, self._spec.member(name))

    def restart(self, name: str) -> None:
        if name == self._primary().name:
            self.hand_over(name)
        primary = self._primary()
        self._clients.forget(name)
        group.stop([self._spec.nodes[name]])
        group.start(self._spec.nodes[name], *self._as_replica_of(primary))
        self.join()

    def primaries(self) -> list[str]:
        """By the Sentinels; where none runs, the only one that is a primary, or the one that they knew at last."""
        named = replication.named_primary(self._clients, self._sentinels, self._spec.members)
        found = named or replication.acting_primary(self._clients, self._spec.members)
        return [found.name if found else self._remembered()]

    def keepers(self) -> list[str]:
        live = answering(self._clients, self._spec.members)
        (primary,) = self.primaries()
        if live and primary not in [member.name for member in live]:
            return [replication.latest(self._clients, live).name]
        return [primary]

    def problems(self) -> Iterator[str]:
        primary = self._spec.member(self.primaries()[0])
        if replication.role(self._clients, primary) != "master":
            yield f"{primary.name} isn't the primary that the Sentinels take it for"
        yield from replication.astray(self._clients, primary, self._spec.members)
        yield from replication.unwatched(self._clients, self._sentinels, primary, self._spec.replicas)

    def _settle_primary(self) -> str:
        """Who shall be the primary. One that is dead is it only where no node lives that could take its place:
        such a node may know writes that the dead one lost with its memory.
        """
        live = [member for member in self._spec.members if member.name in group.running(self._spec.nodes)]
        remembered = self._remembered()
        if not live:
            return remembered
        if not any(sentinel.remembers(spec.folder) for spec in self._spec.sentinels.values()):
            acting = replication.acting_primary(self._clients, live)
            return acting.name if acting else remembered
        self._start_sentinels(self._spec.member(remembered))
        named = self._primary()
        if named in live:
            return replication.wait_for_primary(self._clients, self._sentinels, live).name
        with contextlib.suppress(ProvisioningError):  # no replica may be good enough
            return replication.fail_over(self._clients, self._sentinels, self._spec.members, named).name
        return named.name

    def _remembered(self) -> str:
        address = sentinel.last_primary([spec.folder for spec in self._spec.sentinels.values()])
        names = {member.address: member.name for member in self._spec.members}
        return names.get(address or "", next(iter(self._spec.nodes)))

    def _primary(self) -> Member:
        return self._spec.member(self.primaries()[0])

    def _start_sentinels(self, primary: Member) -> None:
        watcher = self._spec.passwords[hardening.SENTINEL]
        for spec in self._spec.sentinels.values():
            sentinel.ensure(spec, primary, len(self._sentinels), watcher)

    def _as_replica_of(self, primary: Member) -> tuple[str, str]:
        return "--replicaof", f"{primary.host} {primary.port}"
