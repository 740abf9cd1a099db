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
    """The script of that name, after the shared functions that its second line names."""
    folder = files("valkeykit.queue") / "scripts"
    flags, shared, body = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n", 2)
    names = ["keys", *shared.removeprefix("-- shared:").split()]
    parts = [(folder / "shared" / f"{part}.lua").read_text(encoding="utf-8") for part in names]
    source = "\n".join([flags, *parts, body])
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
