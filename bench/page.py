"""docs/benchmarks.md, written from the latest results: `python -m bench.page`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.report import FOLDER, Row
from infra.drivers import binary

FILE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

_ABOUT = {
    "up": "Provisioning on the embedded target",
    "docker": "Provisioning, rotation and failover on the docker target",
    "outage": "All nodes of a group on the docker target killed at once",
    "cloud": "Previews of the cloud targets",
    "cache": "Cache",
    "queue": "Job queue",
    "migrate": "Migration",
    "doctor": "Diagnosis and statistics",
    "damage": "Nodes that come back damaged, while applications write",
    "operations": "Commands that are killed, repeated and run at the same time, while applications write",
}
_OTHER_COMMANDS = {
    "damage": "make test ONLY=docker/test_damage.py ROUNDS=50",
    "operations": "make test ONLY=operations ROUNDS=100",
}


def read(folder: Path = FOLDER) -> dict[str, list[Row]]:
    """The rows of each benchmark that was run here, by its name."""
    files = {name: folder / f"{name}.json" for name in _ABOUT}
    return {name: [Row(**row) for row in json.loads(file.read_text())] for name, file in files.items() if file.exists()}


def render(measured: Mapping[str, Sequence[Row]], machine: str) -> str:
    """Tables of all results, with their peers and goals."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` runs all benchmarks and writes this page.",
        "`make bench ONLY=name` runs one of them, and `python -m bench.page` writes this page from the latest results.",
        "A ratio compares alternating measurements of one run.",
        "[Client benchmarks](client/numbers.md) has the versions and settings of the peers.",
        "",
        machine,
    ]
    for name, rows in measured.items():
        command = _OTHER_COMMANDS.get(name, f"make bench ONLY={name}")
        lines += ["", f"## {_ABOUT[name]}: `{command}`", ""]
        lines += ["| | result | peer | ratio | goal | |", "|---|---|---|---|---|---|"]
        lines += [_line(row) for row in rows]
    return "\n".join([*lines, ""])


def machine() -> str:
    """The machine and the versions of the measurement."""
    memory = round(psutil.virtual_memory().total / 1024**3)
    return (
        f"{os.cpu_count()} shared cores, {memory} GiB, {platform.system()}, CPython {platform.python_version()}, "
        f"Valkey {binary.version()}, redis-py {version('redis')}, {datetime.now(timezone.utc):%B %Y}."
    )


def _line(row: Row) -> str:
    peer = f"{_number(row.peer)}, {row.peer_name}" if row.peer is not None else ""
    ratio = _number(row.ratio) if row.peer is not None else ""
    cells = (row.name, _number(row.ours), peer, ratio, f"{row.goal:g}", "met" if row.met else "missed")
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


if __name__ == "__main__":
    FILE.write_text(render(read(), machine()))
