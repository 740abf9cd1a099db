"""nodes.conf: a cluster node's stored view of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.drivers.topology import cluster
from infra.drivers.topology.cluster import ClusterNode

FILE = "nodes.conf"

_VARS = re.compile(r"vars currentEpoch (\d+) lastVoteEpoch \d+")


@dataclass(frozen=True)
class NodesConf:
    """A parsed nodes.conf.

    epoch: how recent the view is. shards: the id of each node's shard, which a failover doesn't change.
    """

    text: str
    epoch: int
    nodes: tuple[ClusterNode, ...]
    shards: dict[str, str]

    @property
    def own(self) -> ClusterNode:
        return next(node for node in self.nodes if "myself" in node.flags)

    @property
    def own_epoch(self) -> int:
        """The epoch of the node's claim on its slots: the highest wins."""
        return next(int(line.split()[6]) for line in self.text.splitlines() if "myself" in line)


def parse(text: str) -> NodesConf | None:
    """Parse a view; None if a line is damaged, or none is the node's own."""
    *lines, last = text.splitlines() or [""]
    epoch = _VARS.fullmatch(last)  # the last line, so the file is complete
    try:
        nodes = tuple(cluster.parse_node(line) for line in lines)
    except ValueError:
        return None
    is_complete = (
        epoch and all(len(node.id) == 40 for node in nodes) and sum("myself" in node.flags for node in nodes) == 1
    )
    if not epoch or not is_complete:
        return None
    shards = {line.split()[0]: match[1] for line in lines if (match := re.search(r"shard-id=(\w+)", line.split()[1]))}
    return NodesConf(text, int(epoch[1]), nodes, shards)


def read(data: Path) -> NodesConf | None:
    """The view in a node's working folder; None if it is missing or damaged."""
    try:
        return parse((data / FILE).read_text())
    except (OSError, ValueError):
        return None


def most_up_to_date(confs: Iterable[NodesConf | None]) -> NodesConf | None:
    """The most recent view."""
    return max((conf for conf in confs if conf), key=lambda conf: conf.epoch, default=None)


def identity(views: Iterable[NodesConf], host: str, port: int | None = None) -> str:
    """The id of a node in other nodes' views, of several the one with slots; "" if they don't have it.

    port: None with TLS, as the file then has 0.
    """
    nodes = [node for view in views for node in view.nodes if node.address.rpartition(":")[0] == host]
    candidates = [node for node in nodes if port is None or node.address == f"{host}:{port}"]
    return max(candidates, key=lambda node: len(node.slots)).id if candidates else ""


def relocated(view: NodesConf, addresses: Mapping[str, str]) -> str:
    """The nodes.conf with other addresses of nodes, by their id, each as host:port@bus-port."""
    lines = []
    for line in view.text.splitlines():
        words = line.split(" ")
        if words[0] in addresses:
            _, comma, names = words[1].partition(",")
            words[1] = f"{addresses[words[0]]}{comma}{names}"
        lines.append(" ".join(words))
    return "\n".join([*lines, ""])


def rebuilt(view: NodesConf, identity: str) -> str:
    """The nodes.conf of the node with this id, from the view of another node of the cluster."""
    lines = []
    for line in view.text.splitlines()[:-1]:
        words = [
            word for word in line.split() if not word.startswith("[")
        ]  # a slot that is migrating from or to that node
        flags = [flag for flag in words[2].split(",") if flag in {"master", "slave"}]
        words[2] = ",".join(["myself", *flags] if words[0] == identity else flags) or "noflags"
        words[4:6] = ["0", "0"]
        lines.append(" ".join(words))
    # It may have voted in any epoch so far, so it votes in none of them again.
    return "\n".join([*lines, f"vars currentEpoch {view.epoch} lastVoteEpoch {view.epoch}", ""])
