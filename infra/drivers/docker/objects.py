"""Everything that a deployment has on its engine, leftovers of killed commands included, and the removal of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.drivers.docker import compose
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.volumes import Volume

SCRATCH = "scratch"
"""A restore's server, and its volume."""

VERSION = "version"
"""The purpose of a container that finds out the version of an image or of data, as previews do too."""

_REPLACING = re.compile(r"[0-9a-f]{12}_")
"""The beginning of the name of a container of compose's that has not replaced the previous one yet."""


@dataclass(frozen=True)
class DockerObjects:
    engine: Engine
    stack: str
    project: str

    def remove_leftovers(self) -> None:
        """Remove the helper containers of commands that were killed; one command at a time changes a stack.

        A preview may run meanwhile, whose only containers are those that find out a version.
        """
        asking = self.engine.labelled("container", *self._labels(f"{compose.PURPOSE}={VERSION}"))
        self._remove_containers([name for name in self._helpers() if name not in asking])

    def reject_foreign_users(self) -> None:
        """See that no other container uses a volume or the network, which could not be removed then.

        Raises:
            EngineError: one does.
        """
        own = {*self._containers(), *self._helpers()}
        for kind, names in (("volume", self._volumes()), ("network", self._networks())):
            which = [option for name in names for option in ("--filter", f"{kind}={name}")]
            users = self.engine.docker("ps", "--all", *which, "--format", "{{.Names}}").split() if which else []
            if others := [user for user in users if user not in own]:
                raise EngineError(
                    f"the container {others[0]} uses a {kind} of {self.project}, which can't be removed then",
                    fix=f"docker rm --force {' '.join(others)}, then run the same command again",
                )

    def remove(self) -> None:
        """Remove all containers, volumes and networks, but for the backups, and see that none is left.

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
        """To copy files: the container that does it never runs, so any image will do.

        Raises:
            EngineError: the engine has none.
        """
        images = self.engine.docker("image", "ls", "--quiet").split()
        if not images:
            raise EngineError("the engine has no image to copy files with", fix="docker pull valkey/valkey")
        return Volume(self.engine, volume, images[0], compose.labels(self.stack, self.project, purpose))

    def _helpers(self) -> list[str]:
        """Those of single commands, and those that compose had made when it was killed."""
        own = self.engine.labelled("container", *self._labels(f"{compose.DEPLOYMENT}={self.project}"))
        unfinished = [name for name in self._containers() if _REPLACING.match(name)]
        return [*own, *unfinished, *self._existing("container", f"{self.project}-{SCRATCH}")]

    def _containers(self) -> list[str]:
        return self.engine.labelled("container", *self._labels(f"{compose.PROJECT}={self.project}"))

    def _networks(self) -> list[str]:
        return self.engine.labelled("network", *self._labels(f"{compose.PROJECT}={self.project}"))

    def _volumes(self) -> list[str]:
        """The backups outlive the others."""
        made = self.engine.labelled("volume", *self._labels(f"{compose.PROJECT}={self.project}"))
        return [*made, *self._existing("volume", *(f"{self.project}_{name}" for name in (compose.CONF, SCRATCH)))]

    def _existing(self, kind: str, *names: str) -> Iterator[str]:
        for facts in self.engine.inspect(kind, *names):
            labels = (facts["Config"] if kind == "container" else facts)["Labels"] or {}
            if labels.get(compose.STACK) == self.stack:
                yield facts["Name"].lstrip("/")

    def _labels(self, label: str) -> tuple[str, str]:
        return f"{compose.STACK}={self.stack}", label
