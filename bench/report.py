"""A benchmark's rows: printed as a table, and written to build/bench/<name>.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "bench"


@dataclass(frozen=True)
class Row:
    """ratio: ours / peer, or ours itself where there is no peer. goal: what the ratio must reach, or stay below."""

    name: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float
    goal: float
    met: bool


def at_least(name: str, ours: float, peer: float, peer_name: str, goal: float) -> Row:
    """More is better: ours / peer must reach the goal."""
    return Row(name, ours, peer, peer_name, ours / peer, goal, ours / peer >= goal)


def at_most(name: str, ours: float, goal: float, *, peer: float | None = None, peer_name: str = "") -> Row:
    """Less is better: ours, or ours / peer, must stay below the goal."""
    ratio = ours / peer if peer else ours
    return Row(name, ours, peer, peer_name, ratio, goal, ratio <= goal)


def publish(name: str, rows: Sequence[Row]) -> Path:
    """Print the table and write the file; returns its path."""
    print(f"{'':50}{'ours':>12}{'peer':>12}  {'best peer':12}{'ratio':>8}{'goal':>8}")
    for row in rows:
        peer = f"{row.peer:,.2f}" if row.peer is not None else ""
        mark = "met" if row.met else "MISSED"
        print(f"{row.name:50}{row.ours:>12,.2f}{peer:>12}  {row.peer_name:12}{row.ratio:>8.2f}{row.goal:>8g} {mark}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return path
