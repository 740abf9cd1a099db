"""One deployment on one engine: its compose project, its containers, its volumes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra import hardening
from infra.local.console import answers, wait_until
from infra.local.docker import compose, files, volumes
from infra.local.docker.console import Console
from infra.local.docker.engine import Engine, EngineError
from infra.local.docker.plan import Plan, Secrets

START_SECONDS = 900
"""How long the servers may take to read their data."""

_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class Deployment:
    engine: Engine
    plan: Plan
    secrets: Secrets

    @cached_property
    def project(self) -> dict[str, Any]:
        return compose.render(self.plan)

    @cached_property
    def console(self) -> Console:
        members = (*self.plan.nodes, *self.plan.sentinels)
        containers = {member.name: self.container(member.name) for member in members}
        ports = {member.name: member.port for member in members}
        passwords = list(filter(None, (self.secrets.passwords[hardening.ADMIN], self.secrets.login)))
        return Console(self.engine, containers, ports, passwords)

    def container(self, service: str) -> str:
        return f"{self.plan.project}-{service}-1"

    def volume(self, name: str) -> str:
        return f"{self.plan.project}_{name}"

    def exists(self) -> bool:
        """Whether any of its containers is there, running or not."""
        return bool(self.engine.labelled("container", f"{_PROJECT}={self.plan.project}"))

    def has_data(self) -> bool:
        """Whether volumes of a data node are there."""
        return bool(self.engine.inspect("volume", *(self.volume(node.name) for node in self.plan.nodes)))

    def refuse_strangers(self) -> None:
        """See that nothing of this name belongs to somebody else.

        Raises:
            EngineError: something does.
        """
        volumes = self.engine.labelled("volume", f"{_PROJECT}={self.plan.project}")
        for kind, names in (
            ("container", self.engine.labelled("container", f"{_PROJECT}={self.plan.project}")),
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

    def write_files(self) -> None:
        """Put configuration, users, certificates and scripts into their volume."""
        conf = self.volume(compose.CONF)
        for volume in [conf, *([self.volume(compose.BACKUPS)] if compose.keeps_backups(self.plan) else [])]:
            self.engine.docker("volume", "create", "--label", f"{compose.STACK}={self.plan.stack}", volume)
        volumes.put(self.engine, conf, self.plan.image, files.render(self.plan, self.secrets))
        if self.plan.backups:
            place = self.plan.backups.folder or self.volume(compose.BACKUPS)
            volumes.make_folder(self.engine, place, self.plan.image, self.plan.project)

    def create(self) -> None:
        """Make containers and volumes, and start nothing."""
        self.compose("create", "--no-recreate")

    def up(self, *services: str) -> None:
        """Start what isn't running, and wait until all of it is healthy; what runs is left as it is."""
        self._start("--no-recreate", "--remove-orphans", *services)

    def renew(self, service: str) -> None:
        """A new container of one service, with its volume; returns when its server has read its data."""
        self.compose("up", "--detach", "--no-deps", "--force-recreate", service)
        if service in self.console.ports:
            wait_until(lambda: answers(self.console, service), START_SECONDS, f"{service} doesn't answer")

    def down(self) -> None:
        """Remove containers, network and volumes, but for the backups."""
        self.compose("down", "--volumes", "--remove-orphans")
        self.engine.docker("volume", "rm", "--force", self.volume(compose.CONF))

    def wrong(self) -> list[str]:
        """What differs from what compose was told: lost, stopped, sick or changed containers."""
        found, services = self._facts(), self.project["services"]
        problems = {service: _problem(found.get(service), wanted) for service, wanted in services.items()}
        return [f"{service}: {problem}" for service, problem in problems.items() if problem]

    def outdated(self, *, sick: bool = False) -> list[str]:
        """Services whose container was made of another definition; with `sick`, those that serve nobody."""
        found, services = self._facts(), self.project["services"]
        there = {name: wanted for name, wanted in services.items() if name in found}
        if sick:
            return [name for name, wanted in there.items() if _is_sick(found[name], wanted)]
        return [name for name, wanted in there.items() if _is_outdated(found[name], wanted)]

    def compose(self, *arguments: str) -> str:
        return self.engine.compose(self.project, *arguments)

    def _facts(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container; without those that are gone."""
        services = {self.container(service): service for service in self.project["services"]}
        return {services[facts["Name"].lstrip("/")]: facts for facts in self.engine.inspect("container", *services)}

    def _start(self, *arguments: str) -> None:
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS), *arguments)
        except EngineError as problem:
            raise EngineError(f"{problem.args[0]}{self._last_words()}", fix=problem.fix) from None

    def _last_words(self) -> str:
        """The last line of the first container that isn't healthy."""
        for service, facts in self._facts().items():
            if _health(facts) != "healthy":
                lines = self.compose("logs", "--no-log-prefix", "--tail", "3", service).strip().splitlines()
                return f"; {service} says: {lines[-1].strip()}" if lines else ""
        return ""


def _health(facts: dict[str, Any]) -> str:
    return str(facts["State"].get("Health", {}).get("Status", "")) if facts["State"]["Running"] else "stopped"


def _is_sick(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether nothing can be lost by a new container."""
    lost = facts["State"]["Running"] and not _has_address(facts, wanted)
    return lost or (_is_outdated(facts, wanted) and _health(facts) != "healthy")


def _is_outdated(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return bool(facts["Config"]["Labels"].get(compose.DEFINITION) != wanted["labels"][compose.DEFINITION])


def _has_address(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    addresses = [network["IPAddress"] for network in facts["NetworkSettings"]["Networks"].values()]
    expected = wanted.get("networks", {}).get("default", {}).get("ipv4_address")
    return expected in addresses if expected else bool(addresses)


def _problem(facts: dict[str, Any] | None, wanted: dict[str, Any]) -> str | None:
    if facts is None:
        return "its container is gone"
    if (health := _health(facts)) in ("stopped", "unhealthy"):
        return f"it is {health}"
    if not _has_address(facts, wanted):
        return "it isn't in its network"
    if facts["HostConfig"]["Memory"] != wanted["mem_limit"]:
        return "its memory limit was changed"
    return "it was made of another definition" if _is_outdated(facts, wanted) else None
