"""One deployment on one engine: its compose project, its containers, its volumes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra import hardening
from infra.drivers.docker import compose, files, health, reasons
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.executor import ContainerExecutor
from infra.drivers.docker.objects import DockerObjects
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.drivers.docker.volumes import Volume

START_SECONDS = 900
"""How long the servers may take to read their data."""

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 5.0
"""Most containers are healthy by then; the others are asked why they aren't."""


@dataclass(frozen=True)
class ContainerDeployment:
    engine: Engine
    plan: DeploymentPlan
    secrets: Secrets

    @cached_property
    def project(self) -> dict[str, Any]:
        return compose.render(self.plan)

    @cached_property
    def executor(self) -> ContainerExecutor:
        members = (*self.plan.nodes, *self.plan.sentinels)
        containers = {member.name: self.container(member.name) for member in members}
        ports = {member.name: member.port for member in members}
        passwords = list(filter(None, (self.secrets.passwords[hardening.ADMIN], self.secrets.login)))
        return ContainerExecutor(self.engine, containers, ports, passwords)

    def container(self, service: str) -> str:
        return f"{self.plan.project}-{service}-1"

    def volume(self, name: str) -> str:
        return f"{self.plan.project}_{name}"

    def open(self, volume: str) -> Volume:
        """A volume by its full name, or a folder of the engine's machine, to copy files from and to."""
        return Volume(self.engine, volume, self.plan.image, self.labels("files"))

    def labels(self, purpose: str) -> list[str]:
        """Options of docker for what is made without the compose file."""
        return compose.labels(self.plan.stack, self.plan.project, purpose)

    @property
    def objects(self) -> DockerObjects:
        return DockerObjects(self.engine, self.plan.stack, self.plan.project)

    def exists(self) -> bool:
        """Whether any of its containers is there, running or not."""
        return bool(self.engine.labelled("container", f"{compose.PROJECT}={self.plan.project}"))

    def has_data(self) -> bool:
        """Whether volumes of a data node are there."""
        return bool(self.engine.inspect("volume", *(self.volume(node.name) for node in self.plan.nodes)))

    def has_all_data(self) -> bool:
        """Whether the volume of every data node is there."""
        names = [self.volume(node.name) for node in self.plan.nodes]
        return len(self.engine.inspect("volume", *names)) == len(names)

    def reject_foreign_objects(self) -> None:
        """See that nothing of this name belongs to somebody else.

        Raises:
            EngineError: something does.
        """
        volumes = self.engine.labelled("volume", f"{compose.PROJECT}={self.plan.project}")
        for kind, names in (
            ("container", self.engine.labelled("container", f"{compose.PROJECT}={self.plan.project}")),
            ("volume", [*volumes, self.volume(compose.CONF), self.volume(compose.BACKUPS)]),
        ):
            for found in self.engine.inspect(kind, *names):
                labels = (found["Config"] if kind == "container" else found)["Labels"] or {}
                if labels.get(compose.STACK) != self.plan.stack:
                    owner = labels.get(compose.STACK, "something else")
                    raise EngineError(
                        f"the {kind} {found['Name'].lstrip('/')} is there and belongs to {owner}",
                        fix="pulumi config set --path valkey:docker.project <another name>",
                    )

    def write_users(self) -> None:
        """Put what servers know of users into the volume, and nothing else."""
        rendered = files.render(self.plan, self.secrets)
        users = {path: text for path, text in rendered.items() if path.endswith(".acl")}
        self.open(self.volume(compose.CONF)).put(users)

    def write_files(self) -> None:
        """Put configuration, users, certificates and scripts into their volume."""
        for name in [compose.CONF, *([compose.BACKUPS] if compose.keeps_backups(self.plan) else [])]:
            self.engine.docker("volume", "create", *self.labels(name), self.volume(name))
        self.open(self.volume(compose.CONF)).put(files.render(self.plan, self.secrets))
        if self.plan.backups:
            self.open(self.plan.backups.folder or self.volume(compose.BACKUPS)).make_folder(self.plan.project)

    def create(self) -> None:
        """Make containers and volumes, and start nothing."""
        self.compose("create", "--no-recreate")

    def up(self, *services: str) -> None:
        """Start what isn't running, and wait until all of it is healthy; what runs is left as it is."""
        self._start("--no-recreate", "--remove-orphans", *services)

    def wait(self) -> None:
        """Wait until the servers whose containers are there are healthy.

        Raises:
            EngineError: one doesn't become healthy.
        """
        self._wait_until_healthy(self.executor.ports)

    def renew(self, *services: str) -> None:
        """New containers of services, with their volumes; returns when their servers have read their data."""
        self.compose("up", "--detach", "--no-deps", "--force-recreate", *services)
        if servers := [service for service in services if service in self.executor.ports]:
            self._wait_until_healthy(servers)

    def down(self) -> None:
        """Remove containers, network and volumes, but for the backups, and see that nothing is left."""
        self.objects.remove()

    def wrong(self) -> list[str]:
        """What differs from what compose was told: lost, stopped, unhealthy or changed containers."""
        found, services = self._facts(), self.project["services"]
        problems = {service: health.problem(found.get(service), wanted) for service, wanted in services.items()}
        for service in (service for service in self.executor.ports if service in found):
            if not health.is_healthy(found[service]) and (reason := self._reason(service)):
                problems[service] = reason.text
        return [f"{service}: {problem}" for service, problem in problems.items() if problem]

    def outdated(self, *, unhealthy: bool = False) -> list[str]:
        """Services whose container was made of another definition; with `unhealthy`, those that serve nobody."""
        found, services = self._facts(), self.project["services"]
        there = {name: wanted for name, wanted in services.items() if name in found}
        if unhealthy:
            return [name for name, wanted in there.items() if health.can_recreate(found[name], wanted)]
        return [name for name, wanted in there.items() if health.is_outdated(found[name], wanted)]

    def compose(self, *arguments: str) -> str:
        return self.engine.compose(self.project, *arguments)

    def _facts(self, services: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """What the engine knows of the container of each of these services, or of all; without those that are gone."""
        wanted = {self.container(service): service for service in services or self.project["services"]}
        found = {wanted[facts["Name"].lstrip("/")]: facts for facts in self.engine.inspect("container", *wanted)}
        for service, facts in found.items():  # the engine makes its first check only some seconds after the start
            if health.status(facts) == "starting" and self._passes(service, facts):
                facts["State"]["Health"]["Status"] = "healthy"
        return found

    def _passes(self, service: str, facts: dict[str, Any]) -> bool:
        kind, *check = facts["Config"]["Healthcheck"]["Test"]
        with contextlib.suppress(EngineError):
            self.engine.docker("exec", self.container(service), *(check if kind == "CMD" else ("sh", "-c", *check)))
            return True
        return False

    def _start(self, *arguments: str) -> None:
        """Compose's own --wait gives up on a container that is unhealthy for the moment."""
        self.compose("up", "--detach", *arguments)
        # An unhealthy helper keeps no server from being repaired, but for what joins them.
        self._wait_until_healthy({*self.executor.ports, compose.KEEPER})

    def _wait_until_healthy(self, services: Collection[str]) -> None:
        begin = time.monotonic()
        first: dict[str, tuple[float, int]] = {}
        slow = self._not_healthy(services)
        while slow:
            now = time.monotonic()
            first = {service: first.get(service, (now, facts["RestartCount"])) for service, facts in slow.items()}
            for service, facts in slow.items():
                since, restarts = first[service]
                has_failed = health.has_failed(facts, now - since, facts["RestartCount"] - restarts)
                reason = self._reason(service) if has_failed or now - since > _LOOK_SECONDS else None
                if has_failed or now - begin > START_SECONDS or (reason and now - since > reason.grace_seconds):
                    raise EngineError(
                        f"{service} {reason.state}: {reason.text}"
                        if reason
                        else f"{service} is {health.status(facts)}",
                        fix=(reason and reason.fix) or f"docker logs {self.container(service)}, then make up",
                    )
            time.sleep(_POLL_SECONDS)
            slow = self._not_healthy(slow)

    def _not_healthy(self, services: Collection[str]) -> dict[str, dict[str, Any]]:
        return {name: facts for name, facts in self._facts(services).items() if not health.is_healthy(facts)}

    def _reason(self, service: str) -> reasons.Reason | None:
        """Why it isn't healthy, as it reports itself."""
        waiting = log = ""
        ping = (
            f"sh {files.HOME}/bin/cli health 127.0.0.1 {self.executor.ports.get(service, 0)} ping 2>&1 | grep MISCONF"
        )
        with contextlib.suppress(EngineError):  # it doesn't wait, or doesn't run
            waiting = self.engine.docker("exec", self.container(service), "sh", "-c", f"cat /tmp/waiting || {ping}")
        with contextlib.suppress(EngineError):  # its container is gone
            log = waiting or self.compose("logs", "--no-log-prefix", "--tail", "300", service)
        stack = self.plan.stack_name
        return reasons.find(waiting, log, repair=f"make repair STACK={stack} NODE={service}")
