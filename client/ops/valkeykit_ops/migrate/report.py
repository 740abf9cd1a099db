"""Migration report: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.reconcile import Verification
from valkeykit_ops.migrate.state import MigrationState, shown

REPORTED_KEYS = 1000
"""Maximum number of differing keys in the report."""


@dataclass
class MigrationReport:
    """The result of a run.

    Attributes:
        complete: Whether the target has every key in scope, which a sample cannot show.
        sampled: Whether a sample was compared and no key differed.
        cut_over: Whether writes to the source had stopped before the verification.
        events: What happened to both servers since the previous run.
        downtime: Seconds from the last write to the end of the verification; None without a cut-over.
    """

    plan: MigrationPlan
    complete: bool = False
    sampled: bool = False
    cut_over: bool = False
    started: float = 0.0
    seconds: float = 0.0
    downtime: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    verification: Verification | None = None
    unmovable: int = 0
    libraries: dict[str, str | None] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        verified = self.verification
        if self.complete and verified and not verified.compared:
            if not self.plan.keys:
                return "Complete, but the source has no keys: check its URL."
            return "Complete, but no key of the source is in scope: check the pattern, the types and the databases."
        if self.complete:
            excepted = [f"{self.unmovable:,} that the target does not support"] if self.unmovable else []
            if verified and verified.kept:
                excepted.append(f"{verified.kept:,} that the target had before and keeps")
            names = f", except {' and '.join(excepted)}" if excepted else ""
            return f"Complete: every key was equal on both servers{names}."
        if self.sampled and verified and verified.bound is not None:
            return (
                f"Sampled: none of {verified.compared:,} compared keys differs, "
                f"so at most {verified.bound:.2%} of all keys do, with 95 % confidence."
            )
        reasons = self._reasons()
        return f"Incomplete: {'; '.join(reasons)}." if reasons else "Incomplete."

    def _reasons(self) -> list[str]:
        """Why the target is incomplete."""
        verified = self.verification
        if verified is None:
            return ["nothing was compared"]
        wrong = {name: getattr(verified, name) for name in ("missing", "different", "unexpected", "unstable")}
        reasons = [f"{number:,} keys are {name}" for name, number in wrong.items() if number]
        if verified.evicted:
            reasons.append(f"the target evicted {verified.evicted:,} keys during the verification")
        if self.unmovable:
            reasons.append(f"the target does not support {self.unmovable:,} keys")
        failed = [name for name, problem in self.libraries.items() if problem]
        if failed:
            reasons.append(f"function libraries differ: {', '.join(failed)}")
        return reasons

    def record(self) -> dict[str, Any]:
        """Plain values."""
        verified = self.verification
        return {
            "complete": self.complete,
            "sampled": self.sampled,
            "verdict": self.verdict,
            "cut_over": self.cut_over,
            "started": datetime.fromtimestamp(self.started, timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "downtime_seconds": None if self.downtime is None else round(self.downtime, 3),
            "plan": self.plan.record(),
            "counts": self.counts,
            "functions": {name: problem or "loaded" for name, problem in self.libraries.items()},
            "unmovable": self.unmovable,
            "events": self.events,
            "verification": verified.record() if verified else None,
            "differences": [
                {"database": one.database, "key": shown(one.key), "type": one.kind, "verdict": one.verdict.value}
                for one in (verified.differences if verified else [])[:REPORTED_KEYS]
            ],
        }

    def write(self, state: MigrationState, name: str = "report") -> Path:
        """Write both files; return the path of the Markdown page."""
        record = self.record()
        state.write(f"{name}.json", json.dumps(record, indent=2) + "\n")
        return state.write(f"{name}.md", _page(record))


def _page(record: dict[str, Any]) -> str:
    plan, verified = record["plan"], record["verification"]
    lines = [
        "# Migration report",
        "",
        f"**{record['verdict']}**",
        "",
        *_table(("", ""), _summary(record)),
        "",
        *(f"- {event}" for event in record["events"]),
        *([""] if record["events"] else []),
        "## Preflight",
        "",
        *_table(("check", "", "result"), [(one["name"], _mark(one["ok"]), one["text"]) for one in plan["checks"]]),
        "",
        "## Copy",
        "",
        *_table(("step", "keys"), record["counts"].items()),
    ]
    if verified:
        rows = [(name, value) for name, value in verified.items() if name not in {"full", "bound"}]
        lines += ["", "## Verification", "", *_table(("result", "keys"), rows)]
    if record["differences"]:
        wrong = [(one["verdict"], one["database"], one["type"], one["key"]) for one in record["differences"]]
        lines += ["", "## Differing keys", "", *_table(("verdict", "database", "type", "key"), wrong)]
    if record["functions"]:
        lines += ["", "## Function libraries", "", *_table(("name", "result"), record["functions"].items())]
    return "\n".join(lines) + "\n"


def _summary(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader wants to know first."""
    plan, verified = record["plan"], record["verification"]
    rows = [
        ("from", plan["source"]),
        ("to", plan["target"]),
        ("started", record["started"]),
        ("duration", f"{record['seconds']:,.1f} s"),
        ("writes", _cut_over(record)),
    ]
    if record["downtime_seconds"] is not None:
        rows.append(("downtime for writes", f"{record['downtime_seconds']:,.1f} s"))
    if verified:
        how = "Every key was compared on both servers." if verified["full"] else "A sample was compared."
        wrong = sum(verified[name] for name in ("missing", "different", "unexpected", "unstable"))
        rows += [
            ("compared", f"{verified['compared']:,} keys: type, value and expiry time. {how}"),
            ("repaired", f"{verified['repaired']:,} of {verified['differing']:,} keys that differed at first"),
            ("differing", f"{wrong:,} keys"),
        ]
    return rows


def _cut_over(record: dict[str, Any]) -> str:
    if record["cut_over"]:
        return f"Writes had stopped {record['downtime_seconds']:,.1f} s before the end of the verification."
    return "Writes continued, so this report does not cover keys written after the verification."


def _mark(ok: bool | None) -> str:
    return {True: "ok", False: "no", None: "note"}[ok]


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "| " + " | ".join("---" for _ in head) + " |",
        *("| " + " | ".join(row) + " |" for row in cells),
    ]
