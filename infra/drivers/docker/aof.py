"""Append-only files: their manifest, and the output of valkey-check-aof."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["b", "i", "h"]
"""Base, incremental, or history: replaced and about to be removed."""

MANIFEST = "appendonly.aof.manifest"

_LINE = re.compile(r"file (\S+) seq (\d+) type ([bih])( .*)?$")
_NAME = re.compile(r"appendonly\.aof\.(\d+)\.(base|incr)\.(rdb|aof)$")
_SOUND = re.compile(r"ok_up_to=(\d+),")


@dataclass(frozen=True)
class AofFile:
    name: str
    seq: int
    kind: Kind

    @property
    def is_snapshot(self) -> bool:
        return self.name.endswith(".rdb")


def parse(manifest: str) -> list[AofFile]:
    """The files of a manifest, in loading order; none if a line is damaged or missing."""
    files = []
    for line in manifest.splitlines():
        if not (match := _LINE.match(line)):
            return []
        kind: Kind = "b" if match[3] == "b" else "i" if match[3] == "i" else "h"
        files.append(AofFile(match[1], int(match[2]), kind))
    return [file for file in files if file.kind != "h"] if any(file.kind == "b" for file in files) else []


def rebuild(names: Iterable[str]) -> list[AofFile]:
    """Reconstruct a manifest from the names of the files.

    Of two base files the older one: an interrupted rewrite left the newer one, and all increments since the older one
    still exist. With the newer one, some changes would be applied twice.
    """
    files = [(int(match[1]), match[2], name) for name in names if (match := _NAME.match(name))]
    files.sort()
    bases = [AofFile(name, seq, "b") for seq, kind, name in files if kind == "base"]
    changes = [AofFile(name, seq, "i") for seq, kind, name in files if kind == "incr"]
    return [*bases[:1], *changes]


def render(files: Sequence[AofFile]) -> str:
    return "".join(f"file {file.name} seq {file.seq} type {file.kind}\n" for file in files)


def sound_bytes(report: str) -> int | None:
    """The number of sound bytes of a file, according to valkey-check-aof; None if it doesn't report it."""
    offsets = _SOUND.findall(report)
    return int(offsets[-1]) if offsets else 0 if "is empty" in report else None


def number(name: str) -> int:
    """The number in a file's name, or 0."""
    match = _NAME.match(name)
    return int(match[1]) if match else 0
