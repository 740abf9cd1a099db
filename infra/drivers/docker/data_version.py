"""Which version of Valkey has had the data: an older one may not read them."""

from __future__ import annotations

from infra.drivers.binary import parse_version
from infra.drivers.docker import volumes
from infra.drivers.docker.deployment import ContainerDeployment
from infra.drivers.docker.objects import VERSION
from infra.drivers.docker.workbench import DATA, Position
from infra.drivers.topology.executor import CommandRejectedError, NodeAddress, NotRespondingError, info


def newest(deployment: ContainerDeployment, known: str = "") -> str:
    """The newest version of those that run, that the volumes note, and that is known; "" if there is none.

    Raises:
        EngineError: the engine can't be asked.
    """
    found = [known, *(_running(deployment, node) or _noted(deployment, node) for node in deployment.plan.nodes)]
    return max(filter(None, found), key=parse_version, default="")


def _running(deployment: ContainerDeployment, node: NodeAddress) -> str:
    if not deployment.secrets.passwords:
        return ""
    try:
        return info(deployment.executor, node.name, "server").get("valkey_version", "")
    except (CommandRejectedError, NotRespondingError):
        return ""


def _noted(deployment: ContainerDeployment, node: NodeAddress) -> str:
    """As the last server noted it in the volume, whether its container is there or not."""
    engine, container, volume = deployment.engine, deployment.container(node.name), deployment.volume(node.name)
    text = None
    if engine.inspect("container", container):
        text = volumes.read(engine, container, f"{DATA}/position")
    elif deployment.plan.image and engine.inspect("volume", volume):
        text = deployment.objects.open(volume, VERSION).read("position")
    position = Position.parse(text or "")
    return position.version if position else ""
