"""What a change of the configuration does to a stack, as the engine tells it, and the table of it for docs/."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["live", "at the next window", "several updates", "a replacement", "nothing"]

REPLACEMENTS = ("replace", "create-replacement", "delete-replaced")


@dataclass(frozen=True)
class Step:
    """One step of an update. kind: the resource's type token. changed: the top-level inputs that differ."""

    operation: str
    kind: str
    name: str
    changed: frozenset[str]


@dataclass(frozen=True)
class EffectRow:
    """A key of the configuration, what its change does, and to which resources."""

    key: str
    effect: Effect
    guarded: bool
    touched: tuple[str, ...]


def steps(events: Iterable[Mapping[str, Any]]) -> list[Step]:
    """What changes something, of the events that `pulumi up --json` prints."""
    found = []
    for event in events:
        metadata = event.get("resourcePreEvent", {}).get("metadata")
        if metadata and metadata["op"] not in ("same", "read", "refresh"):
            changed = frozenset(path.split(".")[0].split("[")[0] for path in metadata.get("detailedDiff") or {})
            name = metadata["urn"].rpartition("::")[2]
            found.append(Step(metadata["op"], metadata["type"], name, changed))
    return found


def effect(taken: Sequence[Step], holding: Collection[str], deferred: Mapping[str, Collection[str]]) -> Effect:
    """The gravest of what the steps do.

    holding: the types of resources that hold data. deferred: of a type, the inputs that wait for its window.
    """
    if any(step.operation in REPLACEMENTS and step.kind in holding for step in taken):
        return "a replacement"
    if any(step.operation == "update" and step.changed & set(deferred.get(step.kind, ())) for step in taken):
        return "at the next window"
    return "live" if taken else "nothing"


def touched(taken: Iterable[Step]) -> tuple[str, ...]:
    """The types of the resources that the steps touch, without their packages."""
    return tuple(sorted({step.kind.rpartition(":")[2] for step in taken}))


def table(rows: Iterable[EffectRow]) -> str:
    """Markdown, a line for each row."""
    lines = ["| key | effect of a change | rejected | changed resources |", "| --- | --- | --- | --- |"]
    for row in rows:
        kinds = ", ".join(f"`{kind}`" for kind in row.touched)
        lines.append(f"| `{row.key}` | {row.effect} | {'yes' if row.guarded else ''} | {kinds} |")
    return "\n".join(lines) + "\n"
