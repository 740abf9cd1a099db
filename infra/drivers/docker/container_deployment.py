"""A container deployment: its compose project, containers and volumes on one engine."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra import hardening
from infra.drivers.docker import compose, container_health, deployment_files, reasons
from infra.drivers.docker.container_executor import ContainerExecutor
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.objects import DockerObjects
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.drivers.docker.volumes import Volume

_LOG = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 900
"""How long the servers may take to read their data."""

_POLL_INTERVAL_SECONDS = 0.5
_REASON_AFTER_SECONDS = 5.0
"""Most containers are healthy by then; the reasons of the others are read."""


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
        """Open a volume by its full name, or a folder of the engine's machine, to copy files."""
        return Volume(self.engine, volume, self.plan.image, self.labels("files"))

    def labels(self, purpose: str) -> list[str]:
        """Label options of docker for objects that compose doesn't create."""
        return compose.labels(self.plan.stack, self.plan.project, purpose)

    @property
    def objects(self) -> DockerObjects:
        return DockerObjects(self.engine, self.plan.stack, self.plan.project)

    def exists(self) -> bool:
        """Whether it has a container, running or not."""
        return bool(self.engine.list_by_labels("container", f"{compose.PROJECT}={self.plan.project}"))

    def has_data(self) -> bool:
        """Whether a data node has its volume."""
        return bool(self.engine.inspect("volume", *(self.volume(node.name) for node in self.plan.nodes)))

    def has_all_data(self) -> bool:
        """Whether every data node has its volume."""
        names = [self.volume(node.name) for node in self.plan.nodes]
        return len(self.engine.inspect("volume", *names)) == len(names)

    def reject_foreign_objects(self) -> None:
        """Check that all containers and volumes of this project belong to the stack.

        Raises:
            EngineError: one doesn't.
        """
        volumes = self.engine.list_by_labels("volume", f"{compose.PROJECT}={self.plan.project}")
        for kind, names in (
            ("container", self.engine.list_by_labels("container", f"{compose.PROJECT}={self.plan.project}")),
            ("volume", [*volumes, self.volume(compose.CONF), self.volume(compose.BACKUPS)]),
        ):
            for facts in self.engine.inspect(kind, *names):
                labels = (facts["Config"] if kind == "container" else facts)["Labels"] or {}
                if labels.get(compose.STACK) != self.plan.stack:
                    owner = labels.get(compose.STACK, "something else")
                    raise EngineError(
                        f"the {kind} {facts['Name'].lstrip('/')} exists and belongs to {owner}",
                        fix="pulumi config set --path docker.project <another name>",
                    )

    def reject_paused(self) -> None:
        """Check that no container is paused.

        Raises:
            EngineError: one is.
        """
        containers = self.engine.inspect("container", *map(self.container, self.project["services"]))
        if paused := [facts["Name"].lstrip("/") for facts in containers if facts["State"]["Paused"]]:
            raise EngineError(
                f"paused containers: {', '.join(paused)}", fix=f"docker unpause {' '.join(paused)}, then make up"
            )

    def has_moved(self) -> bool:
        """Whether its network has another subnet than the plan."""
        networks = self.engine.inspect("network", f"{self.plan.project}_default")
        current = {
            ipaddress.ip_network(config["Subnet"]) for network in networks for config in network["IPAM"]["Config"] or []
        }
        return bool(current) and ipaddress.ip_network(self.plan.subnet) not in current

    def write_users(self) -> None:
        """Write only the users into the volume."""
        rendered = deployment_files.render(self.plan, self.secrets)
        users = {path: text for path, text in rendered.items() if path.endswith(".acl")}
        self.open(self.volume(compose.CONF)).put(users)

    def write_files(self) -> None:
        """Write configuration, users, certificates and scripts into the volume."""
        for name in [compose.CONF, *([compose.BACKUPS] if compose.keeps_backups(self.plan) else [])]:
            self.engine.docker("volume", "create", *self.labels(name), self.volume(name))
        self.open(self.volume(compose.CONF)).put(deployment_files.render(self.plan, self.secrets))
        if self.plan.backups.is_scheduled:
            self.open(self.plan.backups.folder or self.volume(compose.BACKUPS)).make_folder(self.plan.project)

    def create(self) -> None:
        """Create containers and volumes without starting them."""
        self.compose("create", "--no-recreate")

    def up(self, *services: str) -> None:
        """Start services that don't run, and wait until all are healthy."""
        self._start("--no-recreate", "--remove-orphans", *services)

    def wait(self) -> None:
        """Wait until all servers with a container are healthy.

        Raises:
            EngineError: one doesn't become healthy.
        """
        self._wait_until_healthy(self.executor.ports)

    def recreate(self, *services: str) -> None:
        """Recreate containers, which keep their volumes, and wait until their servers have loaded their data."""
        self.compose("up", "--detach", "--no-deps", "--force-recreate", *services)
        if servers := [service for service in services if service in self.executor.ports]:
            self._wait_until_healthy(servers)

    def restart(self, server: str) -> None:
        """Restart a server's container, and wait until it responds."""
        self.compose("restart", "--no-deps", server)
        self._wait_until_healthy([server])

    def restart_failed(self) -> None:
        """Restart containers that failed to start; the engine would wait for up to a minute.

        Their files are complete now.
        """
        if services := [name for name, facts in self._facts().items() if container_health.is_restarting(facts)]:
            self.compose("restart", "--no-deps", *services)

    def down(self) -> None:
        """Remove containers, network and volumes, except backups."""
        self.objects.remove()

    def problems(self) -> list[str]:
        """Lost, stopped, unhealthy and outdated containers, a line each."""
        facts, services = self._facts(), self.project["services"]
        problems = {
            service: container_health.problem(facts.get(service), desired) for service, desired in services.items()
        }
        for service in (service for service in (*self.executor.ports, compose.KEEPER) if service in facts):
            if not container_health.is_healthy(facts[service]) and (reason := self.reason(service)):
                problems[service] = reason.text
        return [f"{service}: {problem}" for service, problem in problems.items() if problem]

    def outdated(self, *, unhealthy: bool = False) -> list[str]:
        """Services whose container is outdated; with `unhealthy`, those that can be recreated without loss."""
        facts, services = self._facts(), self.project["services"]
        existing = {name: desired for name, desired in services.items() if name in facts}
        if unhealthy:
            return [name for name, desired in existing.items() if container_health.can_recreate(facts[name], desired)]
        return [name for name, desired in existing.items() if container_health.is_outdated(facts[name], desired)]

    def compose(self, *arguments: str) -> str:
        return self.engine.compose(self.project, *arguments)

    def _facts(self, services: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """The engine's facts about the containers of these services, or of all; without those that don't exist."""
        names = {self.container(service): service for service in services or self.project["services"]}
        by_service = {names[facts["Name"].lstrip("/")]: facts for facts in self.engine.inspect("container", *names)}
        for service, facts in by_service.items():  # the engine's first check runs only some seconds after the start
            if container_health.status(facts) == "starting" and self._passes(service, facts):
                facts["State"]["Health"]["Status"] = "healthy"
        return by_service

    def _passes(self, service: str, facts: dict[str, Any]) -> bool:
        kind, *check = facts["Config"]["Healthcheck"]["Test"]
        with contextlib.suppress(EngineError):
            self.engine.docker("exec", self.container(service), *(check if kind == "CMD" else ("sh", "-c", *check)))
            return True
        return False

    def _start(self, *arguments: str) -> None:
        """Compose's own --wait fails for a container that is unhealthy for a moment."""
        self.compose("up", "--detach", *arguments)
        # An unhealthy helper doesn't block the repair of a server, except the one that forms the cluster.
        self._wait_until_healthy({*self.executor.ports, compose.KEEPER})

    def _wait_until_healthy(self, services: Collection[str]) -> None:
        begin = time.monotonic()
        first: dict[str, tuple[float, int]] = {}
        excused: dict[str, float] = {}
        reported: set[str] = set()
        slow = self._not_healthy(services)
        while slow:
            now = time.monotonic()
            first = {service: first.get(service, (now, facts["RestartCount"])) for service, facts in slow.items()}
            causes = {name: self.reason(name) for name in slow if now - first[name][0] > _REASON_AFTER_SECONDS}
            # A server without a reason is loading its data; others may wait for it.
            is_loading = any(
                cause is None and name != compose.KEEPER and container_health.status(slow[name]) == "starting"
                for name, cause in causes.items()
            )
            for service, facts in slow.items():
                if service == compose.KEEPER and len(slow) > 1:  # it waits for servers, which have reasons of their own
                    first[service] = now, facts["RestartCount"]
                    continue
                since, restarts = first[service]
                has_failed = container_health.has_failed(facts, now - since, facts["RestartCount"] - restarts)
                reason = causes.get(service) or (self.reason(service) if has_failed else None)
                if reason and reason.is_wait and is_loading:
                    excused[service] = now
                is_over = reason and now - max(since, excused.get(service, since)) > reason.grace_seconds
                if has_failed or now - begin > START_TIMEOUT_SECONDS or is_over:
                    raise EngineError(
                        f"{service} {reason.state}: {reason.text}"
                        if reason
                        else f"{service} is {container_health.status(facts)}",
                        fix=(reason and reason.fix) or f"docker logs {self._logged_by(service, reason)}, then make up",
                    )
                # A cluster that is being formed isn't worth a word until it takes long.
                is_due = reason and (reason.grace_seconds < float("inf") or now - since > reasons.WAIT_GRACE_SECONDS)
                if reason and is_due and reason.text not in reported:
                    reported.add(reason.text)
                    _LOG.warning("still waiting for %s: %s", service, reason.text)
            time.sleep(_POLL_INTERVAL_SECONDS)
            slow = self._not_healthy(slow)

    def _logged_by(self, service: str, reason: reasons.Reason | None) -> str:
        """The container whose log may have the cause: of the first member that the service waits for, or its own."""
        members = [member.name for member in (*self.plan.nodes, *self.plan.sentinels)]
        awaited = reason.awaits(members) if reason and reason.is_wait else []
        return self.container(next((name for name in awaited if name != service), service))

    def _not_healthy(self, services: Collection[str]) -> dict[str, dict[str, Any]]:
        return {name: facts for name, facts in self._facts(services).items() if not container_health.is_healthy(facts)}

    def reason(self, service: str) -> reasons.Reason | None:
        """Why a service isn't healthy, as it reports itself."""
        waiting = log = ""
        port = self.executor.ports.get(service, 0)
        healthy = f"sh {deployment_files.HOME}/bin/healthy {port} 2>&1"
        check = f"cat /tmp/waiting || {healthy} | grep -E '^(MISCONF|stale)|Certificate'"
        with contextlib.suppress(EngineError):  # it isn't waiting, or doesn't run
            waiting = self.engine.docker("exec", self.container(service), "sh", "-c", check)
        with contextlib.suppress(EngineError):  # its container does not exist
            log = waiting or self.compose("logs", "--no-log-prefix", "--tail", "300", service)
        repair = f"make repair STACK={self.plan.stack_name} NODE={service}"
        restart = f"docker restart {self.container(service)}, then make up"
        return reasons.find(waiting, log, repair, restart, alone=self.plan.topology == "single")
