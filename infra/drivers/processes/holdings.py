"""Holdings: the data that a node's files hold, and a comparison of two nodes.

A primary and its replicas write the same commands to their append-only files. So the end of one file occurs in the
other, and the first lacks the commands after it. If that doesn't decide (after a rewrite, or with an old copy), the
time of the last write does.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from infra.drivers.files import unused_timestamp_name
from infra.drivers.processes import appendonly, process
from infra.drivers.processes.appendonly import DamagedError
from infra.drivers.processes.folder import DAMAGED, ServerFolder
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.topology.node_executor import fields, is_reachable, wait_until
from infra.errors import ProvisioningError

_log = logging.getLogger(__name__)

COMPARED_BYTES = 4 * 1024**2
"""The part of the end of the append-only file that is compared."""

MATCHED_BYTES = 64 * 1024
"""The part that must be equal to count as the same commands."""

FLUSH_TIMEOUT_SECONDS = 10.0

TIMESTAMP_SLACK_SECONDS = 1
"""Each server stamps whole seconds by its own clock tick."""

STALE_SECONDS = 10
"""Data that end earlier than a damaged node's by more than this never replace them without a command."""

_STAMP = re.compile(rb"(?:^|(?<=\n))#TS:(\d+)\r\n")
_NOT_REPLICATED = re.compile(rb"(?:^|(?<=\n))(?:#TS:\d+\r\n|\*2\r\n\$6\r\n(?:SELECT|select)\r\n\$\d+\r\n\d+\r\n)")
"""Commands that each server writes on its own."""


@dataclass(frozen=True)
class Holding:
    """The data that a node holds.

    as_of: the time of the last write, in seconds since 1970, also of damaged files; 0 without data.
    exists: whether a server has ever written files.
    damage: why a server can't load them.
    torn: bytes of an incomplete command at the end, which a server drops.
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
    """The holding of a node that doesn't run. Reads all of its files."""
    try:
        parts, base, torn = appendonly.check(data)
    except DamagedError as damage:
        stamp, _ = _end(appendonly.increments(data))
        return Holding(stamp, exists=True, damage=str(damage.args[0]))
    if parts is None:
        return Holding()
    stamp, tail = _end(parts.increments, torn)
    if not (base and base.keys) and not tail:
        return Holding(exists=True)
    return Holding(max(stamp, base.saved if base else 0), exists=True, torn=torn, tail=tail)


def peek(data: Path) -> Holding:
    """The holding of a node that runs and has data, from the end of its append-only file."""
    try:
        parts = appendonly.parts(data)
        stamp, tail = _end(parts.increments) if parts else (0, b"")
        saved = int(parts.base.stat().st_mtime) if parts and parts.base else 0
    except (DamagedError, OSError, ValueError):  # it is being rewritten
        return Holding(int(time.time()), exists=True)
    return Holding(max(stamp, saved), exists=True, tail=tail)


def is_ahead(one: Holding, other: Holding) -> bool:
    """Whether one node has writes that another lacks."""
    if not (one.is_sound and other.is_sound):
        return one.is_sound
    lead = one.as_of - other.as_of
    # An equal end in both isn't enough: it may consist of many equal commands.
    if lead >= -TIMESTAMP_SLACK_SECONDS and (more := _more(one.tail, other.tail)):
        return more > 0
    if lead <= TIMESTAMP_SLACK_SECONDS and _more(other.tail, one.tail) is not None:
        return False
    if abs(lead) <= TIMESTAMP_SLACK_SECONDS:
        return other.torn > 0 and not one.torn
    return lead > 0


def choose_primary(surveyed: Mapping[str, Holding], preferred: str, *, existed: bool) -> str:
    """The node that becomes the primary: the preferred one unless another has more data.

    existed: whether the group has run before, so at least one node must have data.

    Raises:
        ProvisioningError: no node has usable data, or a damaged one has later data than all others.
    """
    chosen = preferred
    for name, holding in surveyed.items():
        if is_ahead(holding, surveyed.get(chosen, Holding())):
            chosen = name
    if surveyed[chosen].is_sound:
        damaged = [name for name, holding in surveyed.items() if holding.damage]
        latest = max(damaged, key=lambda name: surveyed[name].as_of, default=chosen)
        if surveyed[latest].as_of > surveyed[chosen].as_of + STALE_SECONDS:
            raise _stale_data_error(surveyed, latest, chosen)
        return chosen
    usable = [name for name, holding in surveyed.items() if holding.exists and not holding.damage]
    if any(holding.damage for holding in surveyed.values()) or (existed and not usable):
        raise no_usable_data_error(surveyed, preferred)
    return chosen if chosen in usable or not usable else usable[0]


def no_usable_data_error(surveyed: Mapping[str, Holding], name: str) -> ProvisioningError:
    reasons = "; ".join(f"{node}: {holding}" for node, holding in surveyed.items())
    return ProvisioningError(
        f"nothing was changed, as no node has usable data: {reasons}",
        fix=f"restore a backup: make restore; or repair the files, which keeps a copy: make repair NODE={name}",
    )


def _stale_data_error(surveyed: Mapping[str, Holding], damaged: str, sound: str) -> ProvisioningError:
    ends = {
        name: f"{datetime.fromtimestamp(surveyed[name].as_of, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        for name in (damaged, sound)
    }
    return ProvisioningError(
        f"nothing was changed, as {damaged} has writes until {ends[damaged]}, but is damaged, and no usable data are "
        f"later than those of {sound}, until {ends[sound]}: {damaged}: {surveyed[damaged]}",
        fix=f"repair the files, which keeps a copy: make repair NODE={damaged}; if they can't be repaired, FORCE=1 "
        f"accepts the loss of all writes that {sound} lacks",
    )


def set_aside(folder: ServerFolder, reason: str) -> None:
    """Set a node's data aside, so that it starts without any; it is never deleted."""
    kept = folder.path / unused_timestamp_name(folder.path, DAMAGED)
    folder.data.rename(kept)
    folder.data.mkdir(mode=0o700)
    _log.warning(
        "%s: %s; it starts without data and copies its primary; its files are in %s", folder.path.name, reason, kept
    )


def _more(one: bytes, other: bytes) -> int | None:
    """The bytes of commands that one has after the end of the other; None if it doesn't contain that end."""
    end = other[-MATCHED_BYTES:]
    at = one.rfind(end) if end else -1
    return None if at < 0 else len(one) - at - len(end)


def _end(increments: Iterable[Path], torn: int = 0) -> tuple[int, bytes]:
    """The time of the last write, and the last complete commands."""
    stamp, tail, paths = 0, b"", list(increments)
    for path in paths:
        if size := path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as text:
                stamp = max(stamp, _last_stamp(text) or int(path.stat().st_mtime))
                last = text[max(0, size - COMPARED_BYTES) :]
                tail = tail + _NOT_REPLICATED.sub(b"", last[: len(last) - (torn if path == paths[-1] else 0)])
    return stamp, tail[-COMPARED_BYTES:]


def _last_stamp(text: mmap.mmap) -> int:
    at = len(text)
    while (at := text.rfind(b"#TS:", 0, at)) >= 0:
        if match := _STAMP.match(text, at):
            return int(match[1])
    return 0


def survey(spec: GroupSpec, executor: ProcessExecutor, names: Iterable[str]) -> dict[str, Holding]:
    """The holdings of the named nodes."""
    return {name: _look(spec, executor, name) for name in names}


def set_aside_damaged(spec: GroupSpec, surveyed: dict[str, Holding]) -> None:
    """Set the data of damaged nodes aside, so that they start without it and copy a primary."""
    for name, holding in surveyed.items():
        if holding.damage and process.find(spec.nodes[name].folder) is None:
            set_aside(spec.nodes[name].folder, holding.damage)


def _look(spec: GroupSpec, executor: ProcessExecutor, name: str) -> Holding:
    folder = spec.nodes[name].folder
    if process.find(folder) is None:
        return read(folder.data)
    if is_reachable(executor, name):
        if not fields(executor.run(name, "INFO", "keyspace")):
            return Holding(exists=True)
        with contextlib.suppress(ProvisioningError):  # then by the data in the file
            wait_until(
                lambda: fields(executor.run(name, "INFO", "persistence")).get("aof_buffer_length", "0") == "0",
                FLUSH_TIMEOUT_SECONDS,
                f"{name} doesn't write its append-only file",
            )
    return peek(folder.data)
