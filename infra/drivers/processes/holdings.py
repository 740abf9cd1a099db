"""What a node holds, by its files, and which of two nodes holds more.

A primary and its replicas write the same commands to their append-only files, so the end of one is found in the
other's, and what follows there is what the first lacks. Where that doesn't decide (after a rewrite, or for a copy of
yesterday), the time of the last write does.
"""

from __future__ import annotations

import logging
import mmap
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.drivers.files import unused_timestamp_name
from infra.drivers.processes import appendonly
from infra.drivers.processes.appendonly import DamagedError
from infra.drivers.processes.folder import DAMAGED, ServerFolder
from infra.errors import ProvisioningError

_log = logging.getLogger(__name__)

COMPARED = 4 * 1024**2
"""Bytes of the end of the append-only file that are compared."""

MATCHED = 64 * 1024
"""Bytes that must be the same to be taken for the same commands."""

SLACK_SECONDS = 1
"""Each server stamps whole seconds by its own clock tick."""

_STAMP = re.compile(rb"(?:^|(?<=\n))#TS:(\d+)\r\n")
_NEITHER = re.compile(rb"(?:^|(?<=\n))(?:#TS:\d+\r\n|\*2\r\n\$6\r\n(?:SELECT|select)\r\n\$\d+\r\n\d+\r\n)")
"""What each server writes where it likes."""


@dataclass(frozen=True)
class Holding:
    """What a node holds.

    as_of: the time of the last write, in seconds since 1970; 0 where there is no data.
    exists: whether a server has ever written here.
    damage: why a server would not load it.
    torn: bytes of an unfinished command at the end, which a server drops.
    tail: the last commands.
    """

    as_of: int = 0
    exists: bool = False
    damage: str = ""
    torn: int = 0
    tail: bytes = field(repr=False, default=b"")

    @property
    def is_sound(self) -> bool:
        return self.as_of > 0 and not self.damage

    def __str__(self) -> str:
        if self.damage:
            return self.damage
        return "it has no keys" if self.exists else "its folder is empty"


def read(data: Path) -> Holding:
    """What a node that doesn't run has in its working folder. Reads all of it."""
    try:
        parts, base, torn = appendonly.check(data)
    except DamagedError as damage:
        return Holding(exists=True, damage=str(damage.args[0]))
    if parts is None:
        return Holding()
    stamp, tail = _end(parts.increments, torn)
    if not (base and base.keys) and not tail:
        return Holding(exists=True)
    return Holding(max(stamp, base.saved if base else 0), exists=True, torn=torn, tail=tail)


def peek(data: Path) -> Holding:
    """What a node that runs and has data has written, by the end of its append-only file."""
    try:
        parts = appendonly.parts(data)
        stamp, tail = _end(parts.increments) if parts else (0, b"")
        saved = int(parts.base.stat().st_mtime) if parts and parts.base else 0
    except (DamagedError, OSError, ValueError):  # it is just being rewritten
        return Holding(int(time.time()), exists=True)
    return Holding(max(stamp, saved), exists=True, tail=tail)


def is_ahead(one: Holding, other: Holding) -> bool:
    """Whether one node holds writes that another lacks."""
    if not (one.is_sound and other.is_sound):
        return one.is_sound
    lead = one.as_of - other.as_of
    # The same end in both proves nothing: it may be of many commands that are all alike.
    if lead >= -SLACK_SECONDS and (more := _more(one.tail, other.tail)):
        return more > 0
    if lead <= SLACK_SECONDS and _more(other.tail, one.tail) is not None:
        return False
    if abs(lead) <= SLACK_SECONDS:
        return other.torn > 0 and not one.torn
    return lead > 0


def leader(found: Mapping[str, Holding], preferred: str, *, existed: bool) -> str:
    """The node that shall be the primary: the preferred one unless another holds more.

    existed: whether they have been primary and replicas before, so that at least one must have data.

    Raises:
        ProvisioningError: no node has usable data.
    """
    chosen = preferred
    for name, holding in found.items():
        if is_ahead(holding, found.get(chosen, Holding())):
            chosen = name
    if found[chosen].is_sound:
        return chosen
    usable = [name for name, holding in found.items() if holding.exists and not holding.damage]
    if any(holding.damage for holding in found.values()) or (existed and not usable):
        raise hopeless(found, preferred)
    return chosen if chosen in usable or not usable else usable[0]


def hopeless(found: Mapping[str, Holding], name: str) -> ProvisioningError:
    reasons = "; ".join(f"{known}: {holding}" for known, holding in found.items())
    return ProvisioningError(
        f"nothing was changed, as no node has usable data: {reasons}",
        fix="restore a backup: make restore; or continue with what can be repaired, of which a copy is kept: "
        f"make repair NODE={name}",
    )


def set_aside(folder: ServerFolder, reason: str) -> None:
    """Move a node's data away, so that it starts without any; it is never deleted."""
    kept = folder.path / unused_timestamp_name(folder.path, DAMAGED)
    folder.data.rename(kept)
    folder.data.mkdir(mode=0o700)
    _log.warning(
        "%s: %s; it starts without data and copies its primary's; its files are in %s", folder.path.name, reason, kept
    )


def _more(one: bytes, other: bytes) -> int | None:
    """How many bytes of commands one has after the end of the other; None where that end isn't in it."""
    end = other[-MATCHED:]
    at = one.rfind(end) if end else -1
    return None if at < 0 else len(one) - at - len(end)


def _end(increments: Iterable[Path], torn: int = 0) -> tuple[int, bytes]:
    """The time of the last write, and the last commands but a torn one."""
    stamp, tail, paths = 0, b"", list(increments)
    for path in paths:
        if size := path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as text:
                stamp = max(stamp, _last_stamp(text) or int(path.stat().st_mtime))
                last = text[max(0, size - COMPARED) :]
                tail = tail + _NEITHER.sub(b"", last[: len(last) - (torn if path == paths[-1] else 0)])
    return stamp, tail[-COMPARED:]


def _last_stamp(text: mmap.mmap) -> int:
    at = len(text)
    while (at := text.rfind(b"#TS:", 0, at)) >= 0:
        if match := _STAMP.match(text, at):
            return int(match[1])
    return 0
