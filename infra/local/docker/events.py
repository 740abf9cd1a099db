"""What happened to the data of the nodes: read from their logs and the age of their volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from infra.local.console import fields
from infra.local.docker.deployment import Deployment

_NOTABLE = re.compile(r"^start-node: [\w-]+: (.*(?:set aside|directory is empty).*)$", re.MULTILINE)
_KEYS = re.compile(r"keys=(\d+)")


def repairs(deployment: Deployment, since: datetime) -> Iterator[str]:
    """A line for each node whose volume is newer than a time, or whose files were set aside since.

    Raises:
        ProvisioningError: the engine or a node doesn't answer.
    """
    for node in deployment.plan.nodes:
        (volume,) = deployment.engine.inspect("volume", deployment.volume(node.name))
        log = deployment.engine.docker("logs", "--since", since.isoformat(), deployment.container(node.name))
        lines = _NOTABLE.findall(log)[-1:]
        if _created(volume["CreatedAt"]) > since:
            lines = ["its volume was created again, without data"]
        yield from (f"{node.name}: {line}; {_outcome(deployment, node.name)}" for line in lines)


def _created(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00"))


def _outcome(deployment: Deployment, node: str) -> str:
    """Whether the node has data again, and where from."""
    state = fields(deployment.console.run(node, "INFO", "replication", "keyspace"))
    keys = sum(int(number) for name, value in state.items() if name.startswith("db") for number in _KEYS.findall(value))
    if state["role"] == "slave":
        names = {str(member.port): member.name for member in deployment.plan.nodes}
        primary = names.get(state["master_port"], f"{state['master_host']}:{state['master_port']}")
        if state["master_link_status"] == "up":
            return f"restored from its primary {primary}, {keys} keys"
        return f"not in sync with its primary {primary} yet"
    return f"it is a primary with {keys} keys" if keys else "its data is gone: it is a primary without keys"
