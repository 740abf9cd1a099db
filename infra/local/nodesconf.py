"""A cluster node's own view of the cluster, in its nodes.conf."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.local import cluster
from infra.local.cluster import Row

FILE = "nodes.conf"

_VARS = re.compile(r"vars currentEpoch (\d+) lastVoteEpoch \d+")
_ABSENT = {"fail", "fail?", "handshake", "noaddr"}


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


def read(data: Path) -> Conf | None:
    """The view in a node's working folder; None where there is none, or it can't be used."""
    try:
        text = (data / FILE).read_text()
        *lines, last = text.splitlines()
        epoch = _VARS.fullmatch(last)  # it ends the file, so none is cut
        rows = tuple(cluster.row(line) for line in lines)
    except (OSError, ValueError):
        return None
    if epoch is None or sum("myself" in row.flags for row in rows) != 1:
        return None
    shards = {line.split()[0]: found[1] for line in lines if (found := re.search(r"shard-id=(\w+)", line.split()[1]))}
    return Conf(text, int(epoch[1]), rows, shards)


def latest(confs: Iterable[Conf | None]) -> Conf | None:
    """The most recent view."""
    return max((conf for conf in confs if conf), key=lambda conf: conf.epoch, default=None)


def rebuilt(view: Conf, address: str) -> str | None:
    """The nodes.conf of the node at an address, by another's view; None where that doesn't know it."""
    identity = next((row.id for row in view.rows if row.address == address), None)
    if identity is None:
        return None
    lines = []
    for line in view.text.splitlines()[:-1]:
        words = line.split()
        flags = [flag for flag in words[2].split(",") if flag not in {"myself"} | _ABSENT]
        words[2] = ",".join(["myself", *flags] if words[0] == identity else flags) or "noflags"
        lines.append(" ".join(words))
    # It may have voted in any epoch so far, so it votes in none of them again.
    return "\n".join([*lines, f"vars currentEpoch {view.epoch} lastVoteEpoch {view.epoch}", ""])
