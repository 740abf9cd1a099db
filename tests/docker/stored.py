"""The same keys on every node of a deployment, and what becomes of the volumes that hold them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import redis

from harness.docker import DeploymentHarness
from infra.drivers.topology.node_executor import CommandRejectedError, NodeAddress, wait_until
from tests.docker import damage

KEYS = 300


def write(harness: DeploymentHarness, value: str, nodes: Sequence[NodeAddress] = ()) -> None:
    """Overwrite every key, and wait until every node, or these, have it on their disks."""
    with harness.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", value)
    for node in nodes or harness.deployment.plan.nodes:
        wait_until(partial(_is_in_sync, harness, node.name), 60, f"{node.name} is behind")


def _is_in_sync(harness: DeploymentHarness, name: str) -> bool:
    """Whether its position counts all that it has as durable."""
    position = data_of(harness, name) / "position"
    if not position.exists():  # its server has just started
        return False
    file, size, durable = position.read_text().split()[4:7]
    written = (data_of(harness, name) / "appendonlydir" / file).stat().st_size
    return 0 < written == int(size) == int(durable)


def read(harness: DeploymentHarness) -> set[str | None]:
    with harness.client() as client:
        return {client.get(f"key:{number}") for number in range(KEYS)}


def data_of(harness: DeploymentHarness, name: str) -> Path:
    return damage.volume(harness.spec.engine, harness.deployment.volume(name))


def stop_all(harness: DeploymentHarness) -> None:
    containers = [harness.deployment.container(node.name) for node in harness.deployment.plan.nodes]
    harness.spec.engine.docker("kill", *containers)
    harness.spec.engine.docker("wait", *containers)


def start_all(harness: DeploymentHarness) -> None:
    harness.spec.engine.docker(
        "start", *(harness.deployment.container(node.name) for node in harness.deployment.plan.nodes)
    )


def leader_and_followers(harness: DeploymentHarness) -> tuple[str, list[str]]:
    """A primary, and those of its group that follow it."""
    known = states(harness)
    addresses = {node.name: f"{node.host}:{node.port}" for node in harness.deployment.plan.nodes}
    leader = next(name for name, state in known.items() if state["role"] == "master")
    followers = [
        name
        for name, state in known.items()
        if state["role"] == "slave" and f"{state['master_host']}:{state['master_port']}" == addresses[leader]
    ]
    return leader, followers


def swap(one: Path, other: Path) -> None:
    aside = one.parent / "aside"
    aside.mkdir()
    for source, target in ((one, aside), (other, one), (aside, other)):
        for entry in list(source.iterdir()):
            shutil.move(entry, target / entry.name)
    aside.rmdir()


def restore(copy: Path, data: Path) -> None:
    damage.empty(data)
    damage.copy(copy, data)


def stop_one(harness: DeploymentHarness, role: str) -> str:
    """Kill a primary or a replica, and return its name."""
    leader = harness.primary()
    node = leader if role == "primary" else leader_and_followers(harness)[1][0]
    harness.spec.engine.docker("kill", harness.deployment.container(node))
    harness.spec.engine.docker("wait", harness.deployment.container(node))
    return node


def states(harness: DeploymentHarness) -> dict[str, dict[str, Any]]:
    """What each node reports of itself; CommandRejectedError where one doesn't answer."""
    found = {}
    for node in harness.deployment.plan.nodes:
        try:
            with direct(harness, node, "monitor") as client:
                found[node.name] = cast("dict[str, Any]", client.info("replication"))
                if harness.spec.plan.topology == "cluster":
                    found[node.name] |= cast("dict[str, Any]", client.execute_command("CLUSTER INFO"))
        except redis.RedisError as problem:
            raise CommandRejectedError(f"{node.name}: {problem}") from None
    return found


def direct(harness: DeploymentHarness, node: NodeAddress, user: str = "app") -> redis.Redis:
    """A connection to one node."""
    secrets = harness.spec.secrets
    return redis.Redis(
        "127.0.0.1", node.port, ssl=True, ssl_ca_data=secrets.ca, username=user, password=secrets.passwords[user],
        decode_responses=True, socket_timeout=10,
    )  # fmt: skip
