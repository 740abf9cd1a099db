"""Key counts: reports lost keys by comparing each shard's number of keys with the last one, which a file stores.

Clients, expiry and eviction remove keys too, but leave the replication ID as it is, which a restart or a failover
changes. So only fewer keys under another ID are a warning. Its previous number stays in the file, and the warning is
repeated, until the number recovers or the operator accepts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from infra.drivers.files import unused_timestamp_name, write_private
from infra.drivers.topology.cluster import SLOTS
from stackctl.state_backend import FOLDER

ALL_SLOTS = f"0-{SLOTS - 1}"

MISSING_SHARE, MISSING_KEYS = 0.1, 10
"""A shard has lost keys if both are missing, or all keys."""

_COUNTS, _REPAIRS, _SET_ASIDE = "counts", "repairsReported", "setAside"
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
    record = _load(root, stack)
    report = compare([] if accept else record.counts, shards, stack)
    _save(root, stack, replace(record, counts=report.counts, set_aside=""))
    if not record.set_aside:
        return report
    damaged = f"the record of its keys was damaged and is now {FOLDER}/{record.set_aside}, so they were not compared"
    return replace(report, warning=" ".join(filter(None, (damaged, report.warning))))


def forget(root: Path, stack: str) -> None:
    file = _file(root, stack)
    for path in (file, *file.parent.glob(f"{file.stem}.damaged-*{file.suffix}")):
        path.unlink(missing_ok=True)


def repairs_reported(root: Path, stack: str) -> datetime | None:
    """When repairs of the stack's data were last reported; None where they never were."""
    return _load(root, stack).repairs_reported


def record_repairs_reported(root: Path, stack: str, at: datetime) -> None:
    _save(root, stack, replace(_load(root, stack), repairs_reported=at))


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


@dataclass(frozen=True)
class _Record:
    """What the file has. set_aside: the name of a damaged one that it replaced and that was not reported yet."""

    counts: Sequence[KeyCount] = ()
    repairs_reported: datetime | None = None
    set_aside: str = ""


def _load(root: Path, stack: str) -> _Record:
    """An empty one where there is no file. A damaged file is set aside: repairs since its last change are reported."""
    file = _file(root, stack)
    try:
        return _parse(file.read_text())
    except FileNotFoundError:
        return _Record()
    except (AttributeError, KeyError, TypeError, ValueError):
        changed = datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
        kept = file.with_name(unused_timestamp_name(file.parent, f"{file.stem}.damaged-") + file.suffix)
        file.rename(kept)
        record = _Record((), changed, kept.name)
        _save(root, stack, record)
        return record


def _parse(text: str) -> _Record:
    fields = json.loads(text)
    at = fields.get(_REPAIRS)
    counts = [_count(count) for count in fields.get(_COUNTS, [])]
    return _Record(counts, datetime.fromisoformat(at) if at else None, str(fields.get(_SET_ASIDE, "")))


def _count(fields: Mapping[str, Any]) -> KeyCount:
    return KeyCount(
        shard=str(fields["shard"]),
        node=str(fields["node"]),
        keys=int(fields["keys"]),
        persistent=int(fields["persistent"]),
        ttl=float(fields["ttl"]),
        history=str(fields["history"]),
        at=datetime.fromisoformat(fields["at"]),
    )


def _save(root: Path, stack: str, record: _Record) -> None:
    file = _file(root, stack)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    reported = record.repairs_reported
    fields = {
        _COUNTS: [{**asdict(count), "at": count.at.isoformat()} for count in record.counts],
        **({_REPAIRS: reported.isoformat()} if reported else {}),
        **({_SET_ASIDE: record.set_aside} if record.set_aside else {}),
    }
    write_private(file, json.dumps(fields, indent=2) + "\n")
