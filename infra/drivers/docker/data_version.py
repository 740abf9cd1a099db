"""Data version: the newest version of Valkey that has written the data, which older ones may not read."""

from __future__ import annotations

from valkeykit.version_numbers import parse_version

from infra.drivers.docker import volumes
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.objects import VERSION
from infra.drivers.docker.repair_container import DATA, RecordedPosition
from infra.drivers.topology.node_executor import CommandRejectedError, NodeAddress, NotRespondingError, info


def newest(deployment: ContainerDeployment, recorded: str = "") -> str:
    """The newest version of running servers, of the volumes' records and of the state; "" if there is none.

    recorded: the version in the state.

    Raises:
        EngineError: the engine doesn't respond.
    """
    versions = [
        recorded,
        *(_running(deployment, node) or _recorded(deployment, node) for node in deployment.plan.nodes),
    ]
    return max(filter(None, versions), key=parse_version, default="")


def _running(deployment: ContainerDeployment, node: NodeAddress) -> str:
    if not deployment.secrets.passwords:
        return ""
    try:
        return info(deployment.executor, node.name, "server").get("valkey_version", "")
    except (CommandRejectedError, NotRespondingError):
        return ""


def _recorded(deployment: ContainerDeployment, node: NodeAddress) -> str:
    """As the last server recorded it in the volume, with or without a container."""
    engine, container, volume = deployment.engine, deployment.container(node.name), deployment.volume(node.name)
    text = None
    if engine.inspect("container", container):
        text = volumes.read(engine, container, f"{DATA}/position")
    elif deployment.plan.image and engine.inspect("volume", volume):
        text = deployment.objects.open(volume, VERSION).read("position")
    position = RecordedPosition.parse(text or "")
    return position.version if position else ""
