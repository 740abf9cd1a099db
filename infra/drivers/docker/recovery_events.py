"""Recovery events: data of nodes that was set aside or copied again, read from logs and data directories."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.engine import EngineError
from infra.drivers.topology.node_executor import fields

_NOTABLE = re.compile(
    r"^start-node: [\w-]+: (its files were set aside in .*|it starts without the last part of its data: .*)$",
    re.MULTILINE,
)
_KEYS = re.compile(r"keys=(\d+)")


def recoveries(deployment: ContainerDeployment, since: datetime) -> Iterator[str]:
    """A line for each node with a data directory newer than a time, or with files set aside since.

    Raises:
        ProvisioningError: the engine or a node doesn't respond.
    """
    for node in deployment.plan.nodes:
        container = deployment.container(node.name)
        lines = _NOTABLE.findall(deployment.engine.docker("logs", "--since", since.isoformat(), container))
        if not lines and _created_at(deployment, container) > since.timestamp():
            lines = ["its data directory was recreated"]
        yield from (f"{node.name}: {line}; {_outcome(deployment, node.name)}" for line in lines[-1:])


def _created_at(deployment: ContainerDeployment, container: str) -> float:
    """When its append-only directory was created; 0 if unknown, as on some file systems.

    An engine's creation time of a volume is not reliable: with 20.10 it changes with each new file.
    """
    try:
        return float(deployment.engine.docker("exec", container, "stat", "-c", "%W", "/data/appendonlydir"))
    except (EngineError, ValueError):
        return 0.0


def _outcome(deployment: ContainerDeployment, node: str) -> str:
    """Whether the node has data again, and from which node."""
    state = fields(deployment.executor.run(node, "INFO", "replication", "keyspace"))
    keys = sum(int(number) for name, value in state.items() if name.startswith("db") for number in _KEYS.findall(value))
    if state["role"] == "slave":
        names = {str(member.port): member.name for member in deployment.plan.nodes}
        primary = names.get(state["master_port"], f"{state['master_host']}:{state['master_port']}")
        if state["master_link_status"] == "up":
            return f"restored from its primary {primary}, {keys} keys"
        return f"not in sync with its primary {primary} yet"
    return f"it is a primary with {keys} keys" if keys else "its data is gone: it is a primary without keys"
