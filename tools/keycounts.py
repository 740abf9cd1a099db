"""Reports keys that vanished: each shard's number of keys is compared with the last one, which a file of the stack has.

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

from valkeykit.errors import ValkeykitError

from infra.drivers.files import write_private
from infra.hardening import SELF_HOSTED
from tools.backend import FOLDER
from tools.stack import Stack

SLOTS = 16384
ALL_SLOTS = f"0-{SLOTS - 1}"

MISSING_SHARE, MISSING_KEYS = 0.1, 10
"""A shard has clearly fewer keys where it lacks both, or all."""

_COUNTS, _REPAIRS = "counts", "repairsReported"
"""Names in the file."""


@dataclass(frozen=True)
class Count:
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
class Shard:
    """uptime: seconds since its primary started, or inf. diverged: keys of members with data of another history."""

    count: Count
    uptime: float = float("inf")
    diverged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """warning, failure: what is wrong and how to fix it, or "". counts: what the next run compares with."""

    summary: str
    warning: str
    failure: str
    counts: Sequence[Count]


def review(root: Path, stack: str, shards: Sequence[Shard], *, accept: bool = False) -> Report:
    """Compare with the last numbers of a stack, and keep those of now where nothing is lost.

    accept: what is lost too.
    """
    report = compare([] if accept else _read(root, stack), shards, stack)
    _write(root, stack, report.counts)
    return report


def before_change(stack: Stack) -> str:
    """Count the keys of a stack that is up, so that a later loss is known to be of the change. Returns a warning or "".

    Nothing fails where they can't be counted: `up` and the smoke tests report why.
    """
    from tools import keyspace  # loads redis-py

    try:
        outputs = stack.outputs()
        if outputs["endpoint"]["target"] not in SELF_HOSTED:  # often out of reach, which takes seconds to notice
            return ""
        report = review(stack.root, stack.name, keyspace.of_stack(outputs))
    except (ValkeykitError, OSError):
        return ""
    return " ".join(filter(None, (report.failure, report.warning)))


def forget(root: Path, stack: str) -> None:
    _file(root, stack).unlink(missing_ok=True)


def recoveries(stack: Stack) -> list[str]:
    """What happened to the data of its containers since the last call, a line each; none for other targets."""
    from infra.providers import docker as containers  # loads Pulumi

    since, now = _load(stack.root, stack.name).get(_REPAIRS), datetime.now(timezone.utc)
    lines = []
    try:
        if since and stack.outputs()["endpoint"]["target"] == "docker":
            lines = containers.recoveries(stack.resource("Containers"), datetime.fromisoformat(str(since)))
    except (ValkeykitError, OSError):
        return []
    _save(stack.root, stack.name, {_REPAIRS: now.isoformat()})
    return lines


def compare(previous: Sequence[Count], shards: Sequence[Shard], stack: str) -> Report:
    """What became of the keys of each shard."""
    current = shards
    if previous and {count.shard for count in previous} != {shard.count.shard for shard in shards}:
        previous, current = [_total(previous, "before")], [_sum(shards)]  # slots moved
    known = {count.shard: count for count in previous}
    fewer = [(known[one.count.shard], one) for one in current if _is_fewer(known.get(one.count.shard), one.count)]
    lost = [(was, one) for was, one in fewer if was.history != one.count.history]
    keys = sum(shard.count.keys for shard in shards)
    removed = [f"{one.count.node} had {was.keys} {_ago(was, one)}" for was, one in fewer if (was, one) not in lost]
    why = ["removed by clients, expiry or eviction: without a restart or a failover"] if removed else []
    return Report(
        summary=", ".join([f"{keys} keys", *removed, *why]),
        warning=_warning(lost, len(current), stack) if lost else "",
        failure="; ".join(_failures(shards, stack)),
        counts=previous if lost and current is not shards else _kept(lost, shards),
    )


def _kept(lost: Iterable[tuple[Count, Shard]], shards: Iterable[Shard]) -> list[Count]:
    previous = {was.shard: was for was, _ in lost}
    return [previous.get(shard.count.shard, shard.count) for shard in shards]


def _is_fewer(was: Count | None, now: Count) -> bool:
    """Whether keys are missing that have no TTL, or one that can't have ended yet."""
    if was is None:
        return False
    alive = max(0.0, 1 - (now.at - was.at).total_seconds() / was.ttl) if was.ttl else 0.0
    expected = was.persistent + (was.keys - was.persistent) * alive
    pairs = ((was.persistent, now.persistent), (expected, now.keys))
    clearly = any(then - left >= max(MISSING_KEYS, MISSING_SHARE * then) for then, left in pairs)
    return clearly or (expected >= 1 and not now.keys)


def _warning(lost: Sequence[tuple[Count, Shard]], shards: int, stack: str) -> str:
    ago = _ago(*max(lost, key=lambda pair: _age(*pair)))
    who = f"{len(lost)} of {shards} shards" if shards > 1 else "the stack"
    verb = "has" if len(lost) == 1 else "have"
    numbers = ", ".join(f"{one.count.node} {one.count.keys} of {was.keys} ({_cause(was, one)})" for was, one in lost)
    return (
        f"{who} {verb} fewer keys than {ago}: {numbers} -> restore them: make drill STACK={stack}, then "
        f"make restore STACK={stack} INTO=<new stack>; or accept it: make smoke STACK={stack} ACCEPT=1"
    )


def _cause(was: Count, shard: Shard) -> str:
    if shard.diverged:
        return " and ".join(f"{node} has {keys}" for node, keys in shard.diverged.items())
    restarted = shard.uptime < _age(was, shard)
    return f"restarted {_duration(shard.uptime)} ago" if restarted else "another primary"


def _failures(shards: Iterable[Shard], stack: str) -> Iterable[str]:
    """Shards whose primary is empty while another member has data that it would replace by nothing."""
    for shard in shards:
        if shard.diverged and not shard.count.keys:
            node, keys = max(shard.diverged.items(), key=lambda member: member[1])
            yield (
                f"{shard.count.node} is a primary without keys, {node} still has {keys} -> stop {shard.count.node}, so "
                f"that {node} takes over, then make up STACK={stack}"
            )


def _total(counts: Sequence[Count], history: str) -> Count:
    keys, persistent = sum(count.keys for count in counts), sum(count.persistent for count in counts)
    ttl = min(count.ttl for count in counts)
    return Count(ALL_SLOTS, "all shards", keys, persistent, ttl, history, min(count.at for count in counts))


def _sum(shards: Sequence[Shard]) -> Shard:
    return Shard(_total([shard.count for shard in shards], "now"), min(shard.uptime for shard in shards))


def _age(was: Count, shard: Shard) -> float:
    return (shard.count.at - was.at).total_seconds()


def _ago(was: Count, shard: Shard) -> str:
    return f"{_duration(_age(was, shard))} ago"


def _duration(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}s"
    return f"{seconds:.0f} seconds"


def _file(root: Path, stack: str) -> Path:
    """Not in the folder of the stack: an embedded server takes none that has other files."""
    return root / FOLDER / f"{stack}.keycounts.json"


def _read(root: Path, stack: str) -> list[Count]:
    """The last numbers; none where there are none, or the file is damaged."""
    try:
        counts = [Count(**fields) for fields in _load(root, stack).get(_COUNTS, [])]
        return [replace(count, at=datetime.fromisoformat(str(count.at))) for count in counts]
    except (TypeError, ValueError):
        return []


def _write(root: Path, stack: str, counts: Iterable[Count]) -> None:
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
