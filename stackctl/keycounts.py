"""Key counts: reports lost keys by comparing each shard's number of keys with the last one, which a file stores.

Clients, expiry and eviction remove keys too, but leave the replication ID as it is, which a restart or a failover
changes. So only fewer keys under another ID are a warning. Its previous number stays in the file, and the warning is
repeated, until the number recovers or the operator accepts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.drivers.files import write_private
from infra.drivers.topology.cluster import SLOTS
from stackctl.backend import FOLDER

ALL_SLOTS = f"0-{SLOTS - 1}"

MISSING_SHARE, MISSING_KEYS = 0.1, 10
"""A shard has lost keys if both are missing, or all keys."""

_COUNTS, _REPAIRS = "counts", "repairsReported"
"""Keys of the file."""


@dataclass(frozen=True)
class KeyCount:
    """The keys of a shard at one time, in all databases.

    shard: its slots. node: its primary.
    persistent: keys without a TTL. ttl: seconds that the others have left on average; 0 if unknown.
    history: the replication ID, which a restart or a failover changes and no command of a client.
    """

    shard: str
    node: str
    keys: int
    persistent: int
    ttl: float
    history: str
    at: datetime


@dataclass(frozen=True)
class ShardKeyCount:
    """uptime: seconds since its primary started, or inf. diverged: keys of members with data of another history."""

    count: KeyCount
    uptime: float = float("inf")
    diverged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyCountReport:
    """warning, failure: what is wrong and how to fix it, or "". counts: what the next run compares with."""

    summary: str
    warning: str
    failure: str
    counts: Sequence[KeyCount]


def review(root: Path, stack: str, shards: Sequence[ShardKeyCount], *, accept: bool = False) -> KeyCountReport:
    """Compare with the last counts of a stack, and store the current ones where nothing is lost.

    accept: store them although keys are lost.
    """
    report = compare([] if accept else _read(root, stack), shards, stack)
    _write(root, stack, report.counts)
    return report


def forget(root: Path, stack: str) -> None:
    _file(root, stack).unlink(missing_ok=True)


def repairs_reported(root: Path, stack: str) -> datetime | None:
    """When repairs of the stack's data were last reported; None where they never were."""
    at = _load(root, stack).get(_REPAIRS)
    return datetime.fromisoformat(str(at)) if at else None


def record_repairs_reported(root: Path, stack: str, at: datetime) -> None:
    _save(root, stack, {_REPAIRS: at.isoformat()})


def compare(previous: Sequence[KeyCount], shards: Sequence[ShardKeyCount], stack: str) -> KeyCountReport:
    """Compare the keys of each shard with the previous counts."""
    current = shards
    if previous and {count.shard for count in previous} != {shard.count.shard for shard in shards}:
        previous, current = [_total(previous, "before")], [_sum(shards)]  # slots moved
    by_shard = {count.shard: count for count in previous}
    fewer = [(by_shard[one.count.shard], one) for one in current if _is_fewer(by_shard.get(one.count.shard), one.count)]
    lost = [(was, one) for was, one in fewer if was.history != one.count.history]
    keys = sum(shard.count.keys for shard in shards)
    removed = [f"{one.count.node} had {was.keys} {_ago(was, one)}" for was, one in fewer if (was, one) not in lost]
    why = ["removed by clients, expiry or eviction: without a restart or a failover"] if removed else []
    return KeyCountReport(
        summary=", ".join([f"{keys} keys", *removed, *why]),
        warning=_warning(lost, len(current), stack) if lost else "",
        failure="; ".join(_failures(shards, stack)),
        counts=previous if lost and current is not shards else _kept(lost, shards),
    )


def _kept(lost: Iterable[tuple[KeyCount, ShardKeyCount]], shards: Iterable[ShardKeyCount]) -> list[KeyCount]:
    previous = {was.shard: was for was, _ in lost}
    return [previous.get(shard.count.shard, shard.count) for shard in shards]


def _is_fewer(was: KeyCount | None, now: KeyCount) -> bool:
    """Whether keys are missing that have no TTL, or one that can't have ended yet."""
    if was is None:
        return False
    alive = max(0.0, 1 - (now.at - was.at).total_seconds() / was.ttl) if was.ttl else 0.0
    expected = was.persistent + (was.keys - was.persistent) * alive
    pairs = ((was.persistent, now.persistent), (expected, now.keys))
    clearly = any(then - left >= max(MISSING_KEYS, MISSING_SHARE * then) for then, left in pairs)
    return clearly or (expected >= 1 and not now.keys)


def _warning(lost: Sequence[tuple[KeyCount, ShardKeyCount]], shards: int, stack: str) -> str:
    ago = _ago(*max(lost, key=lambda pair: _age(*pair)))
    who = f"{len(lost)} of {shards} shards" if shards > 1 else "the stack"
    verb = "has" if len(lost) == 1 else "have"
    numbers = ", ".join(f"{one.count.node} {one.count.keys} of {was.keys} ({_cause(was, one)})" for was, one in lost)
    return (
        f"{who} {verb} fewer keys than {ago}: {numbers} -> restore them: make drill STACK={stack}, then "
        f"make restore STACK={stack} INTO=<new stack>; or accept it: make smoke STACK={stack} ACCEPT=1"
    )


def _cause(was: KeyCount, shard: ShardKeyCount) -> str:
    if shard.diverged:
        return " and ".join(f"{node} has {keys}" for node, keys in shard.diverged.items())
    restarted = shard.uptime < _age(was, shard)
    return f"restarted {_duration(shard.uptime)} ago" if restarted else "another primary"


def _failures(shards: Iterable[ShardKeyCount], stack: str) -> Iterable[str]:
    """Shards with an empty primary, from which a member with data would copy nothing."""
    for shard in shards:
        if shard.diverged and not shard.count.keys:
            node, keys = max(shard.diverged.items(), key=lambda member: member[1])
            yield (
                f"{shard.count.node} is a primary without keys, {node} still has {keys} -> stop {shard.count.node}, so "
                f"that {node} takes over, then make up STACK={stack}"
            )


def _total(counts: Sequence[KeyCount], history: str) -> KeyCount:
    keys, persistent = sum(count.keys for count in counts), sum(count.persistent for count in counts)
    ttl = min(count.ttl for count in counts)
    return KeyCount(ALL_SLOTS, "all shards", keys, persistent, ttl, history, min(count.at for count in counts))


def _sum(shards: Sequence[ShardKeyCount]) -> ShardKeyCount:
    return ShardKeyCount(_total([shard.count for shard in shards], "now"), min(shard.uptime for shard in shards))


def _age(was: KeyCount, shard: ShardKeyCount) -> float:
    return (shard.count.at - was.at).total_seconds()


def _ago(was: KeyCount, shard: ShardKeyCount) -> str:
    return f"{_duration(_age(was, shard))} ago"


def _duration(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}s"
    return f"{seconds:.0f} seconds"


def _file(root: Path, stack: str) -> Path:
    """Not in the stack's folder: an embedded server rejects a folder with foreign files."""
    return root / FOLDER / f"{stack}.keycounts.json"


def _read(root: Path, stack: str) -> list[KeyCount]:
    """The last counts; none where there is no file, or it is damaged."""
    try:
        counts = [KeyCount(**fields) for fields in _load(root, stack).get(_COUNTS, [])]
        return [replace(count, at=datetime.fromisoformat(str(count.at))) for count in counts]
    except (TypeError, ValueError):
        return []


def _write(root: Path, stack: str, counts: Iterable[KeyCount]) -> None:
    _save(root, stack, {_COUNTS: [{**asdict(count), "at": count.at.isoformat()} for count in counts]})


def _load(root: Path, stack: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_file(root, stack).read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        return {}


def _save(root: Path, stack: str, changes: Mapping[str, Any]) -> None:
    file = _file(root, stack)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file, json.dumps({**_load(root, stack), **changes}, indent=2) + "\n")
