"""docs/benchmarks.md, made of what was measured last: `python -m bench.page`."""

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
    """One table of every number beside its peer."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` measures all of it anew and writes this page; `make bench ONLY=name` measures a part, and",
        "`python -m bench.page` writes the page of what was measured last. Every ratio is from one run, ours and the",
        "other in turn. The client's peers and how they were run: [numbers](client/numbers.md).",
        "",
        machine,
    ]
    for name, rows in measured.items():
        command = _OTHER_COMMANDS.get(name, f"make bench ONLY={name}")
        lines += ["", f"## {_ABOUT[name]}: `{command}`", ""]
        lines += ["| | measured | beside | ratio | goal | |", "|---|---|---|---|---|---|"]
        lines += [_line(row) for row in rows]
    return "\n".join([*lines, ""])


def machine() -> str:
    """What it was measured on."""
    memory = round(psutil.virtual_memory().total / 1024**3)
    return (
        f"{os.cpu_count()} shared cores, {memory} GiB, {platform.system()}, CPython {platform.python_version()}, "
        f"Valkey {binary.version()}, redis-py {version('redis')}, {datetime.now(timezone.utc):%B %Y}."
    )


def _line(row: Row) -> str:
    beside = f"{_number(row.peer)}, {row.peer_name}" if row.peer is not None else ""
    ratio = _number(row.ratio) if row.peer is not None else ""
    cells = (row.name, _number(row.ours), beside, ratio, f"{row.goal:g}", "met" if row.met else "missed")
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


if __name__ == "__main__":
    FILE.write_text(render(read(), machine()))
