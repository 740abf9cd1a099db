"""Lua scripts for the server, stored next to the code that sends them.

A script begins with a header of comments:

    #!lua flags=…             flags of the script, for the server
    -- shared: clock count    functions of scripts/shared that go before it
    -- keys: jobs delayed* | seen    the names of KEYS; `*` means ten, :0 to :9, and a function of the number

Names before the bar are fixed keys, which the caller completes; those behind it differ from call to call.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

files("valkeykit")  # it imports modules at its first call: a child that is forked meanwhile would wait for them forever

PRIORITIES = 10
"""Number of keys that a name with `*` stands for."""


@dataclass(frozen=True)
class Script:
    """A Lua script.

    Attributes:
        source: Its text.
        sha: SHA-1 of the source, for EVALSHA.
        keys: The names of its fixed keys, in the order of KEYS from the second one on.
    """

    source: str = field(repr=False)
    sha: str
    keys: tuple[str, ...] = ()


@cache
def script(package: str, name: str) -> Script:
    """Load a script of a package, with the shared functions and the names of its keys."""
    folder = files(package) / "scripts"
    flags, *lines = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n")
    shared, named = (_header(lines, mark) for mark in ("-- shared:", "-- keys:"))
    parts = [(folder / "shared" / f"{part}.lua").read_text(encoding="utf-8") for part in shared.split()]
    fixed, _, varying = named.partition("|")
    source = "\n".join([flags, *_bind(fixed.split(), varying.split()), *parts, *lines])
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(source, sha, tuple(key for word in fixed.split() for key in _expand(word)))


def _header(lines: list[str], mark: str) -> str:
    return next((line.removeprefix(mark) for line in lines if line.startswith(mark)), "")


def _expand(word: str) -> list[str]:
    return [f"{word[:-1]}:{number}" for number in range(PRIORITIES)] if word.endswith("*") else [word]


def _bind(fixed: list[str], varying: list[str]) -> list[str]:
    """Lua code that names the KEYS. KEYS[1] is their common prefix."""
    lines, index = [], 2
    for word in (*fixed, *varying):
        if word.endswith("*"):
            lines.append(f"local function {word[:-1]}(number) return KEYS[{index} + number] end")
            index += PRIORITIES
        else:
            lines.append(f"local {word} = KEYS[{index}]")
            index += 1
    return lines
