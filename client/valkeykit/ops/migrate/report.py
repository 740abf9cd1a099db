"""The report of a run: as JSON for programs, as a page for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valkeykit.ops.migrate.preflight import Plan
from valkeykit.ops.migrate.reconcile import Verification
from valkeykit.ops.migrate.state import State, shown

LISTED = 1000
"""Keys that are named in the report."""


@dataclass
class Report:
    """What a run did.

    complete: whether all is there.
    cut_over: whether writes to the source had stopped when it was verified.
    downtime: seconds from the last write seen to the end of the verification; None without a cut-over.
    """

    plan: Plan
    complete: bool = False
    cut_over: bool = False
    started: float = 0.0
    seconds: float = 0.0
    downtime: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    verification: Verification | None = None
    unmovable: int = 0
    libraries: dict[str, str | None] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain values."""
        verified = self.verification
        return {
            "complete": self.complete,
            "cut_over": self.cut_over,
            "started": datetime.fromtimestamp(self.started, timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "downtime_seconds": None if self.downtime is None else round(self.downtime, 3),
            "plan": self.plan.record(),
            "counts": self.counts,
            "functions": {name: problem or "loaded" for name, problem in self.libraries.items()},
            "unmovable": self.unmovable,
            "verification": verified.record() if verified else None,
            "findings": [
                {"database": one.database, "key": shown(one.key), "type": one.kind, "verdict": one.verdict.value}
                for one in (verified.findings if verified else [])[:LISTED]
            ],
        }

    def write(self, state: State) -> Path:
        """Both files; returns the page's path."""
        record = self.record()
        state.write("report.json", json.dumps(record, indent=2) + "\n")
        return state.write("report.md", _page(record))


def _page(record: dict[str, Any]) -> str:
    plan, verified = record["plan"], record["verification"]
    lines = [
        "# Migration report",
        "",
        f"{plan['source']} → {plan['target']}, begun {record['started']}, {record['seconds']:,.1f} s.",
        "",
        "**All is there.**" if record["complete"] else "**Not all is there.**",
        _cut_over(record),
        "",
        "## Before",
        "",
        *_table(("check", "", "found"), [(one["name"], _mark(one["ok"]), one["text"]) for one in plan["checks"]]),
        "",
        "## Done",
        "",
        *_table(("what", "keys"), record["counts"].items()),
    ]
    if verified:
        kind = "Every key was compared on both sides." if verified["full"] else "A sample was compared."
        rows = [(name, value) for name, value in verified.items() if name != "full"]
        lines += ["", "## Verification", "", kind, "", *_table(("what", "keys"), rows)]
    if record["findings"]:
        wrong = [(one["verdict"], one["database"], one["type"], one["key"]) for one in record["findings"]]
        lines += ["", "## Keys that aren't right", "", *_table(("verdict", "database", "type", "key"), wrong)]
    if record["functions"]:
        lines += ["", "## Function libraries", "", *_table(("name", "result"), record["functions"].items())]
    return "\n".join(lines) + "\n"


def _cut_over(record: dict[str, Any]) -> str:
    if record["cut_over"]:
        return (
            f"Writes had stopped; {record['downtime_seconds']:,.1f} s from the last one to the end of the verification."
        )
    return "Writes weren't stopped: what was written since isn't in this report."


def _mark(ok: bool | None) -> str:
    return {True: "ok", False: "no", None: "note"}[ok]


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "| " + " | ".join("---" for _ in head) + " |",
        *("| " + " | ".join(row) + " |" for row in cells),
    ]
