"""Libraries of other languages for the tests, installed once for each state of their lock files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "valkey-pulumi" / "clients"

Step = Sequence[str | Path]


@dataclass(frozen=True)
class Installation:
    """
    locked: the files under `sources` that decide what is installed; where it is compiled, the sources too.
    steps: what fills a folder, given the sources and the folder.
    """

    name: str
    sources: Path
    locked: Sequence[str]
    steps: Callable[[Path, Path], Sequence[Step]]

    def ready(self) -> Path:
        """The folder where all of it is installed; others that want it at the same time wait."""
        folder = CACHE / f"{self.name}-{self._digest()}"
        folder.mkdir(parents=True, exist_ok=True)
        done = folder / ".installed"
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                for step in self.steps(self.sources, folder):
                    found = subprocess.run(step, capture_output=True, text=True, check=False, cwd=folder)
                    assert found.returncode == 0, f"{step[0]}: {found.stdout[-2000:]}{found.stderr[-2000:]}"
                done.touch()
        return folder

    def _digest(self) -> str:
        files = sorted(file for pattern in self.locked for file in self.sources.glob(pattern))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def python(sources: Path) -> Installation:
    """A virtual environment with what requirements.txt pins."""
    name = f"{sources.name}-{sys.version_info.major}.{sys.version_info.minor}"
    return Installation(name, sources, ["requirements.txt"], _python)


def node(sources: Path) -> Installation:
    """node_modules, as package-lock.json has it."""
    return Installation(sources.name, sources, ["package-lock.json"], _node)


def go(sources: Path, packages: str = "./...") -> Installation:
    """The programs of a Go module, or of the tools that it names; not optimised, which takes a third longer."""
    flags = ("-gcflags=all=-N -l", "-ldflags=-w")
    return Installation(
        sources.name,
        sources,
        ["go.mod", "go.sum", "**/*.go"],
        lambda module, folder: (("go", "build", "-C", module, *flags, "-o", f"{folder}/", packages),),
    )


def _python(sources: Path, folder: Path) -> Sequence[Step]:
    pip = (folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    return ((sys.executable, "-m", "venv", folder), (*pip, "-r", sources / "requirements.txt"))


def _node(sources: Path, folder: Path) -> Sequence[Step]:
    copied = ("cp", sources / "package.json", sources / "package-lock.json", folder)
    return (copied, ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"))
