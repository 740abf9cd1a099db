"""A cluster node's own view of the cluster, in its nodes.conf."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.drivers.topology import cluster
from infra.drivers.topology.cluster import Row

FILE = "nodes.conf"

_VARS = re.compile(r"vars currentEpoch (\d+) lastVoteEpoch \d+")


@dataclass(frozen=True)
class Conf:
    """epoch: how recent the view is. shards: the id of each node's shard, which outlives a failover."""

    text: str
    epoch: int
    rows: tuple[Row, ...]
    shards: dict[str, str]

    @property
    def own(self) -> Row:
        return next(row for row in self.rows if "myself" in row.flags)

    @property
    def own_epoch(self) -> int:
        """Of the node's claim on its slots: the highest wins."""
        return next(int(line.split()[6]) for line in self.text.splitlines() if "myself" in line)


def parse(text: str) -> Conf | None:
    """A node's view; None where a line of it is cut or garbled, or none is the node's own."""
    *lines, last = text.splitlines() or [""]
    epoch = _VARS.fullmatch(last)  # it ends the file, so none is cut
    try:
        rows = tuple(cluster.row(line) for line in lines)
    except ValueError:
        return None
    is_whole = epoch and all(len(row.id) == 40 for row in rows) and sum("myself" in row.flags for row in rows) == 1
    if not epoch or not is_whole:
        return None
    shards = {line.split()[0]: found[1] for line in lines if (found := re.search(r"shard-id=(\w+)", line.split()[1]))}
    return Conf(text, int(epoch[1]), rows, shards)


def read(data: Path) -> Conf | None:
    """The view in a node's working folder; None where there is none, or it can't be used."""
    try:
        return parse((data / FILE).read_text())
    except (OSError, ValueError):
        return None


def latest(confs: Iterable[Conf | None]) -> Conf | None:
    """The most recent view."""
    return max((conf for conf in confs if conf), key=lambda conf: conf.epoch, default=None)


def identity(views: Iterable[Conf], host: str, port: int | None = None) -> str:
    """The id by which views know a node, of several the one with slots; nothing where they don't know it.

    port: none where TLS is used, as the file has 0 then.
    """
    rows = [row for view in views for row in view.rows if row.address.rpartition(":")[0] == host]
    known = [row for row in rows if port is None or row.address == f"{host}:{port}"]
    return max(known, key=lambda row: len(row.slots)).id if known else ""


def rebuilt(view: Conf, identity: str) -> str:
    """The nodes.conf of the node with this id, from the view of another node of the cluster."""
    lines = []
    for line in view.text.splitlines()[:-1]:
        words = [word for word in line.split() if not word.startswith("[")]  # a slot on its way from or to that node
        flags = [flag for flag in words[2].split(",") if flag in {"master", "slave"}]
        words[2] = ",".join(["myself", *flags] if words[0] == identity else flags) or "noflags"
        words[4:6] = ["0", "0"]
        lines.append(" ".join(words))
    # It may have voted in any epoch so far, so it votes in none of them again.
    return "\n".join([*lines, f"vars currentEpoch {view.epoch} lastVoteEpoch {view.epoch}", ""])
