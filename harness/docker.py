"""Real docker deployments, created with the driver alone, as Pulumi would."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from harness.ports import CONTAINERS, reserve
from harness.waiting import wait_until
from infra import hardening
from infra.drivers import certificates
from infra.drivers.docker import driver
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.driver import DeploymentSpec, DeploymentState
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.images import ImageSource
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.hardening import Topology, Workload

OLD, NEW = "8.1.1", "9.1.2"
IMAGE = "valkey-test"
SHAPES: dict[str, tuple[int, int]] = {"single": (1, 0), "replicated": (1, 2), "cluster": (3, 1)}

HEALTHY_WITHIN_SECONDS = 300

NETWORKS = "10.128.0.0/10"
"""The deployments' networks, away from those of stacks."""

_numbers = itertools.count(1)


def new_secrets(names: list[str], users: tuple[hardening.User, ...]) -> Secrets:
    authority = certificates.create_authority("Valkey tests")
    passwords = {user.name: secrets.token_urlsafe(24) for user in users}
    return Secrets(passwords, {}, certificates.issue_certificate(authority, names), authority.certificate)


def make_spec(folder: Path, topology: Topology, version: str = NEW, memory: int = 64, **plan: Any) -> DeploymentSpec:
    """A spec of its own project and network, which no other run at the same time has; memory in MB."""
    process, number = os.getpid(), next(_numbers)
    name = f"test-{topology}-{process}-{number}"
    shards, replicas = SHAPES[topology]
    wanted = DeploymentPlan(
        project=name,
        stack=f"valkey/{name}",
        image="",
        topology=topology,
        shards=shards,
        replicas=replicas,
        ports=(),
        bind="127.0.0.1",
        host="localhost",
        subnet=f"10.{128 + process % 64}.{(process // 64 + number) % 256}.0/24",
        directives=hardening.directives("queue", memory * 1024**2, "docker"),
    )
    wanted = replace(wanted, **plan)
    known = new_secrets(["localhost", "127.0.0.1", *wanted.addresses], hardening.node_users(topology))
    return DeploymentSpec(
        Engine(), ImageSource(f"{IMAGE}:{version}"), version, wanted, known, folder, reserve(CONTAINERS)
    )


@dataclass
class DeploymentHarness:
    """A deployment, and what is known of it."""

    spec: DeploymentSpec
    state: DeploymentState | None = None
    history: list[DeploymentState] = field(default_factory=list)

    @property
    def known(self) -> DeploymentState:
        assert self.state is not None, "it isn't up"
        return self.state

    @property
    def deployment(self) -> ContainerDeployment:
        return driver.deployment_of(self.spec, self.known)

    def ensure(self, **changes: Any) -> DeploymentState:
        self.spec = replace(self.spec, **changes)
        self.state = driver.ensure(self.spec, self.state)
        return self.state

    def wrong(self) -> list[str]:
        from infra.providers.docker import find_drift

        found, wrong = driver.inspect(self.spec, self.known)
        return wrong or find_drift(self.known, found)

    def assert_healthy(self) -> None:
        """On a busy machine a health check may time out for a moment, and the Sentinels may choose another primary."""
        wait_until(lambda: not self._unhealthy(), HEALTHY_WITHIN_SECONDS, lambda: str(self._unhealthy()))

    def _unhealthy(self) -> list[str]:
        return [problem for problem in self.wrong() if not problem.startswith("primaries:")]

    def remove(self, *, keep_snapshot: bool = False) -> None:
        driver.remove(self.spec, self.known, keep_snapshot=keep_snapshot)

    def set(self, workload: Workload = "queue", memory: int = 64) -> None:
        directives = hardening.directives(workload, memory * 1024**2, "docker")
        self.spec = replace(self.spec, plan=replace(self.spec.plan, directives=directives))

    def use(self, version: str) -> None:
        self.spec = replace(self.spec, version=version, source=ImageSource(f"{IMAGE}:{version}"))

    @property
    def endpoint(self) -> Endpoint:
        plan = self.deployment.plan
        return Endpoint(
            target="docker",
            topology=plan.topology,
            nodes=tuple(Node(plan.host, node.port) for node in plan.nodes),
            tls=True,
            version=self.known.version,
            workload="queue",
            maxmemory=int(plan.directives["maxmemory"]),
            users=tuple(user.name for user in hardening.USERS),
            ca=self.spec.secrets.ca,
        )

    def client(self, user: str = "app", **options: Any) -> redis.Redis:
        return connect(self.endpoint, username=user, password=self.spec.secrets.passwords[user], **options)  # type: ignore[no-any-return]

    def container(self, service: str) -> dict[str, Any]:
        (facts,) = self.spec.engine.inspect("container", self.deployment.container(service))
        return facts

    def primary(self) -> str:
        """The name of the first node that is a primary now."""
        for node in self.deployment.plan.nodes:
            with contextlib.suppress(Exception):
                if self.deployment.executor.run(node.name, "ROLE")[0] == "master":
                    return node.name
        raise AssertionError("no primary answers")


@contextlib.contextmanager
def running(spec: DeploymentSpec) -> Iterator[DeploymentHarness]:
    harness = DeploymentHarness(spec)
    try:
        harness.ensure()
        yield harness
    finally:
        remove_leftovers(spec.plan.stack)


def remove_leftovers(stack: str) -> None:
    """Remove whatever a test left of a stack (project/stack)."""
    engine, label = Engine(), f"valkey.stack={stack}"
    for kind, command in (
        ("container", ("rm", "--force", "--volumes")),
        ("network", ("network", "rm")),
        ("volume", ("volume", "rm", "--force")),
    ):
        if names := engine.list_by_labels(kind, label):
            engine.docker(*command, *names)
