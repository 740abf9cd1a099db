"""The queue's scripts: every change of state is one of them, and runs on the server as a whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Script:
    source: str = field(repr=False)
    sha: str


@cache
def script(name: str) -> Script:
    """The script of that name, with what all of them share."""
    folder = files("valkeykit.queue") / "scripts"
    flags, _, body = (folder / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    common = (folder / "common.lua").read_text(encoding="utf-8")
    source = f"{flags}\n{common}{body}"
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
