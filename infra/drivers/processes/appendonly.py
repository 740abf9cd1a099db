"""Append-only files of a server that doesn't run: check and repair. `data` is the server's working folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Literal

from infra.drivers import binary
from infra.drivers.files import unused_timestamp_name, write_private
from infra.drivers.processes.folder import DAMAGED
from infra.errors import ProvisioningError

FOLDER = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
SNAPSHOT = "dump.rdb"

_LINE = re.compile(r"file (?P<name>\S+) seq (?P<number>\d+) type (?P<type>[bhi])(?: .*)?")
_FILE = re.compile(r"appendonly\.aof\.(?P<number>\d+)\.(?P<type>base|incr)\.(?:rdb|aof)")

_TORN_LINE = re.compile(rb"[*$]\d*\r?")
"""A length whose line a crash cut off."""

_TORN_TIMESTAMP = re.compile(rb"#(T(S(:\d*\r?)?)?)?")
_LONGEST_LINE = 64

Tool = Literal["valkey-check-aof", "valkey-check-rdb"]


class DamagedError(ProvisioningError):
    """A server can't load its files, or would ignore them."""


@dataclass(frozen=True)
class AppendOnlyFiles:
    """The files that a server loads, in this order."""

    base: Path | None
    increments: Sequence[Path]


@dataclass(frozen=True)
class IncrementCheck:
    """size: of the valid part. rest: bytes after it. is_torn: the rest is an incomplete command, as a crash leaves it,
    which a server drops.
    """

    size: int
    rest: int
    is_torn: bool


@dataclass(frozen=True, order=True)
class BaseCheck:
    """saved: when, in seconds since 1970."""

    saved: int
    keys: int


def parts(data: Path) -> AppendOnlyFiles | None:
    """The files of the manifest; None if the server never had any.

    Raises:
        DamagedError: the manifest is missing, invalid, or names files that don't exist.
    """
    folder, manifest = data / FOLDER, data / FOLDER / MANIFEST
    if not manifest.exists():
        if _files(folder):
            raise DamagedError("its append-only files have no manifest")
        if (data / SNAPSHOT).exists():
            raise DamagedError(f"its append-only files are missing, only the snapshot {SNAPSHOT} exists")
        return None
    entries = [_LINE.fullmatch(line) for line in manifest.read_text(errors="replace").splitlines()]
    parsed = [entry for entry in entries if entry]
    if not parsed or len(parsed) < len(entries):
        raise DamagedError("the manifest of its append-only file is invalid")
    listed = [(entry["type"], folder / entry["name"]) for entry in parsed if entry["type"] != "h"]
    if missing := [path.name for _, path in listed if not path.is_file()]:
        raise DamagedError(f"{missing[0]} of its append-only file is missing")
    base = next((path for kind, path in listed if kind == "b"), None)
    begun_without = [_number(path) for _, path in listed] == [1] and not list(folder.glob("*.base.*"))  # see _begin
    if not base and not begun_without:
        raise DamagedError("the manifest of its append-only file names no base file")
    if base and not base.stat().st_size:  # a server would start without keys
        raise DamagedError(f"the base file {base.name} of its append-only file is empty")
    return AppendOnlyFiles(
        base=base,
        increments=[path for kind, path in listed if kind == "i"],
    )


def increments(data: Path) -> list[Path]:
    """The increments that exist, in their order, whether or not the manifest names them."""
    found = [path for path in _files(data / FOLDER) if _FILE.fullmatch(path.name) and ".incr." in path.name]
    return sorted(found, key=_number)


def check_base(path: Path) -> BaseCheck:
    """Check all of a base file, including its checksum.

    Raises:
        DamagedError: the server can't load it.
    """
    ok, output = _check("valkey-check-rdb", path)
    if not ok:
        raise DamagedError(f"the base file {path.name} of its append-only file is damaged")
    keys = sum(int(count) for count in re.findall(r"^\[info\] (\d+) (?:keys read|functions)", output, re.MULTILINE))
    saved = re.search(r"AUX FIELD ctime = '(\d+)'", output)
    return BaseCheck(int(saved[1]) if saved else int(path.stat().st_mtime), keys)


def check_increment(path: Path) -> IncrementCheck:
    """Check all of an increment; find the end of its valid part."""
    ok, output = _check("valkey-check-aof", path)
    size = path.stat().st_size
    if ok:
        return IncrementCheck(size, 0, is_torn=False)
    valid = re.search(r"ok_up_to=(\d+)", output)
    end = int(valid[1]) if valid else 0
    return IncrementCheck(end, size - end, is_torn=_is_torn(path, output))


def _is_torn(path: Path, output: str) -> bool:
    """Whether the file ends where the tool expected more, rather than has something else there."""
    if not re.search(r"format error|Expected (?!to read)", output):
        return True
    unexpected = re.search(r"^0x *([0-9a-f]+): Expected \\r\\n", output, re.MULTILINE)
    if not unexpected:
        return False
    with path.open("rb") as file:
        file.seek(int(unexpected[1], 16))
        return _TORN_LINE.fullmatch(file.read(_LONGEST_LINE)) is not None


def remove_torn_timestamp(data: Path) -> None:
    """Remove an incomplete timestamp from the end of the files.

    A server loads it, appends to it, and can't load the result. Other incomplete commands it removes itself.

    Raises:
        DamagedError: the manifest is missing, invalid, or names files that don't exist.
    """
    loaded = parts(data)
    if loaded is None or not loaded.increments:
        return
    with loaded.increments[-1].open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _LONGEST_LINE, 0))
        last_line = file.read().rpartition(b"\n")[2]
        if _TORN_TIMESTAMP.fullmatch(last_line):
            file.truncate(size - len(last_line))


def check(data: Path) -> tuple[AppendOnlyFiles | None, BaseCheck | None, int]:
    """Check all files; return them, the base, and the bytes of a torn command at the end of the last one.

    Raises:
        DamagedError: the server can't load them.
    """
    loaded = parts(data)
    if loaded is None:
        return None, None, 0
    base = check_base(loaded.base) if loaded.base else None
    torn = 0
    for path in loaded.increments:
        increment = check_increment(path)
        if increment.rest and not (increment.is_torn and path == loaded.increments[-1]):
            raise DamagedError(f"its append-only file {path.name} is damaged at byte {increment.size}")
        torn = increment.rest
    return loaded, base, torn


@dataclass(frozen=True)
class RepairResult:
    """kept: the folder with a copy of all files, if there were any. done: the changes, a line each."""

    kept: Path | None
    done: Sequence[str]


def repair(data: Path, *, force: bool = False) -> RepairResult | None:
    """Repair the files of a server that doesn't run. Data after the damage is lost.

    A server that has lost all of its files starts without data.

    force: start without data too if nothing of them can be loaded.

    Returns:
        The changes; None if nothing is damaged.

    Raises:
        DamagedError: neither the base file nor a snapshot can be loaded, so nothing was changed.
    """
    with contextlib.suppress(DamagedError):
        if check(data)[0]:
            return None
        data.mkdir(mode=0o700, exist_ok=True)
        return RepairResult(None, [_begin(data, None)])
    try:
        base, found = _salvageable(data)
        snapshot, saved = _snapshot(data), check_base(base)
        if snapshot and snapshot > saved and not found:
            return _adopt_snapshot(data, DamagedError("the increments of its append-only file are missing"))
    except DamagedError as damage:
        return _adopt_snapshot(data, damage, force=force)
    kept = _copy(data)
    done = []
    usable: list[Path] = []
    for path in found:
        usable.append(path)
        increment = check_increment(path)
        if increment.rest:
            os.truncate(path, increment.size)
            done.append(f"{path.name}: kept {increment.size} bytes, removed the {increment.rest} after them")
            break
    for path in found[len(usable) :]:
        path.unlink()
        done.append(f"{path.name}: removed, as it follows the damage")
    text = "".join(_manifest_line(path) for path in [base, *usable])
    manifest = data / FOLDER / MANIFEST
    if not manifest.exists() or manifest.read_text(errors="replace") != text:
        write_private(manifest, text)
        done.append(f"{MANIFEST}: written again, for {', '.join(path.name for path in [base, *usable])}")
    return RepairResult(kept, done)


def _adopt_snapshot(data: Path, damage: DamagedError, *, force: bool = False) -> RepairResult:
    """Replace lost append-only files by the last snapshot; with `force`, by none if there is none."""
    snapshot = _snapshot(data)
    if not snapshot and not force:
        raise DamagedError(
            str(damage.args[0]),
            fix="restore a backup: make restore; FORCE=1 accepts the loss of all of its data, and keeps a copy",
        )
    kept = _copy(data)
    if not snapshot:
        return RepairResult(kept, [_begin(data, None), f"all of its data are lost: {damage.args[0]}"])
    time = datetime.fromtimestamp(snapshot.saved, timezone.utc)
    return RepairResult(
        kept, [_begin(data, data / SNAPSHOT), f"{SNAPSHOT}: all writes after {time:%Y-%m-%d %H:%M:%S} UTC are lost"]
    )


def _snapshot(data: Path) -> BaseCheck | None:
    """The last snapshot; None if it is missing or can't be loaded."""
    try:
        return check_base(data / SNAPSHOT)
    except (DamagedError, OSError):
        return None


def _begin(data: Path, snapshot: Path | None) -> str:
    """Create append-only files from a snapshot or without data."""
    folder = data / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    base, increment = folder / "appendonly.aof.1.base.rdb", folder / "appendonly.aof.1.incr.aof"
    if snapshot:
        shutil.copyfile(snapshot, base)
    increment.touch(mode=0o600)
    listed = [base, increment] if snapshot else [increment]
    write_private(folder / MANIFEST, "".join(_manifest_line(path) for path in listed))
    return f"{FOLDER}: created from {SNAPSHOT}" if snapshot else f"{FOLDER}: created without data"


def _copy(data: Path) -> Path:
    kept = data.parent / unused_timestamp_name(data.parent, DAMAGED)
    shutil.copytree(data, kept)
    return kept


def _salvageable(data: Path) -> tuple[Path, list[Path]]:
    """The base and the increments, by the manifest or else by their names."""
    folder = data / FOLDER
    with contextlib.suppress(DamagedError):
        loaded = parts(data)
        if loaded and loaded.base:
            return loaded.base, list(loaded.increments)
    bases = [path for path in _files(folder) if _FILE.fullmatch(path.name) and ".base." in path.name]
    if len(bases) != 1:
        raise DamagedError(f"{folder} has {len(bases)} base files, 1 is needed", fix="restore a backup: make restore")
    return bases[0], increments(data)


def _manifest_line(path: Path) -> str:
    return f"file {path.name} seq {_number(path)} type {'b' if '.base.' in path.name else 'i'}\n"


def _number(path: Path) -> int:
    match = _FILE.fullmatch(path.name)
    return int(match["number"]) if match else 0


def _files(folder: Path) -> list[Path]:
    """The files that a server has completed, without `temp-` files."""
    return [path for path in folder.glob("appendonly.aof.*") if path.name != MANIFEST]


def _check(tool: Tool, path: Path) -> tuple[bool, str]:
    state = path.stat()
    return _run(tool, str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _run(tool: Tool, path: str, _size: int, _changed: int) -> tuple[bool, str]:
    """Run a check tool, which is the server's binary under another name. Results are cached, as reading takes time."""
    result = subprocess.run(
        [tool, path], executable=binary.path(), capture_output=True, text=True, errors="replace", check=False
    )
    return result.returncode == 0, result.stdout
