"""Docker objects of a deployment: its containers, networks and volumes, with leftovers of killed commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.drivers.docker import compose
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.volumes import Volume

SCRATCH = "scratch"
"""The name of a restore's temporary server and its volume."""

VERSION = "version"
"""The purpose of containers that read the version of an image or of data; previews start them too."""

_REPLACING = re.compile(r"[0-9a-f]{12}_")
"""The name prefix of a compose container that has not replaced the previous one yet."""


@dataclass(frozen=True)
class DockerObjects:
    engine: Engine
    stack: str
    project: str

    def remove_leftovers(self) -> None:
        """Remove the helper containers of commands that were killed; one command at a time changes a stack.

        A preview may run at the same time; its containers have the purpose `VERSION`.
        """
        of_previews = self.engine.list_by_labels("container", *self._labels(f"{compose.PURPOSE}={VERSION}"))
        self._remove_containers([name for name in self._helpers() if name not in of_previews])

    def reject_foreign_users(self) -> None:
        """Check that no other container uses a volume or the network, which then could not be removed.

        Raises:
            EngineError: one does.
        """
        own = {*self._containers(), *self._helpers()}
        for kind, names in (("volume", self._volumes()), ("network", self._networks())):
            which = [option for name in names for option in ("--filter", f"{kind}={name}")]
            users = self.engine.docker("ps", "--all", *which, "--format", "{{.Names}}").split() if which else []
            if others := [user for user in users if user not in own]:
                raise EngineError(
                    f"the container {others[0]} uses a {kind} of {self.project}, which prevents its removal",
                    fix=f"docker rm --force {' '.join(others)}, then run the same command again",
                )

    def remove(self) -> None:
        """Remove all containers, volumes and networks, except backups.

        Raises:
            EngineError: one can't be removed.
        """
        self.reject_foreign_users()
        self._remove_containers([*self._helpers(), *self._containers()])
        for kind, names in (("network", self._networks()), ("volume", self._volumes())):
            if names:
                self.engine.docker(kind, "rm", *names)
        if left := [*self._helpers(), *self._containers(), *self._networks(), *self._volumes()]:
            raise EngineError(f"{', '.join(left)} could not be removed", fix="run the same command again")

    def stop(self) -> None:
        """Stop all containers, so that nothing writes."""
        if names := self._containers():
            self.engine.docker("stop", *names)

    def _remove_containers(self, names: list[str]) -> None:
        if names:
            self.engine.docker("rm", "--force", "--volumes", *dict.fromkeys(names))

    def data(self) -> list[str]:
        """The volumes of the data nodes."""
        return [name for name in self._volumes() if re.fullmatch(r"node-\d+", name.removeprefix(f"{self.project}_"))]

    def open(self, volume: str, purpose: str = "files") -> Volume:
        """Open a volume to copy files. The container for it never runs, so any image will do.

        Raises:
            EngineError: the engine has no image.
        """
        images = self.engine.docker("image", "ls", "--quiet").split()
        if not images:
            raise EngineError("the engine has no image to copy files with", fix="docker pull valkey/valkey")
        return Volume(self.engine, volume, images[0], compose.labels(self.stack, self.project, purpose))

    def _helpers(self) -> list[str]:
        """Containers of single commands, and containers that a killed compose left."""
        own = self.engine.list_by_labels("container", *self._labels(f"{compose.DEPLOYMENT}={self.project}"))
        unfinished = [name for name in self._containers() if _REPLACING.match(name)]
        return [*own, *unfinished, *self._existing("container", f"{self.project}-{SCRATCH}")]

    def _containers(self) -> list[str]:
        return self.engine.list_by_labels("container", *self._labels(f"{compose.PROJECT}={self.project}"))

    def _networks(self) -> list[str]:
        return self.engine.list_by_labels("network", *self._labels(f"{compose.PROJECT}={self.project}"))

    def _volumes(self) -> list[str]:
        """All volumes except backups."""
        created = self.engine.list_by_labels("volume", *self._labels(f"{compose.PROJECT}={self.project}"))
        own = self._existing("volume", *(f"{self.project}_{name}" for name in (compose.CONF, SCRATCH)))
        return [*created, *own, *self._created_by_hand()]

    def _created_by_hand(self) -> list[str]:
        """Volumes of the servers that an operator created, with compose's names but without labels."""
        listed = self.engine.docker("volume", "ls", "--quiet", "--filter", f"name={self.project}_").split()
        names = [name for name in listed if re.fullmatch(rf"{re.escape(self.project)}_(node|sentinel)-\d+", name)]
        return [facts["Name"] for facts in self.engine.inspect("volume", *names) if not facts["Labels"]]

    def _existing(self, kind: str, *names: str) -> Iterator[str]:
        for facts in self.engine.inspect(kind, *names):
            labels = (facts["Config"] if kind == "container" else facts)["Labels"] or {}
            if labels.get(compose.STACK) == self.stack:
                yield facts["Name"].lstrip("/")

    def _labels(self, label: str) -> tuple[str, str]:
        return f"{compose.STACK}={self.stack}", label
