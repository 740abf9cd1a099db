"""Scripts that run on the server, as a whole or not at all. They lie beside the code that sends them."""

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
def script(package: str, name: str) -> Script:
    """A package's script, after the shared functions that its second line names."""
    folder = files(package) / "scripts"
    flags, shared, body = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n", 2)
    names = shared.removeprefix("-- shared:").split()
    parts = [(folder / "shared" / f"{part}.lua").read_text(encoding="utf-8") for part in names]
    source = "\n".join([flags, *parts, body])
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
