"""How each language's dependencies are installed, once for each state of their lock files, and its programs run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.registry import HERE

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "valkey-pulumi" / "clients"

Step = Sequence[str | Path]


@dataclass(frozen=True)
class Language:
    """
    needs: programs that must be on PATH, and the Debian packages that have them.
    locked: the files that decide what is installed; for a compiled language, its sources too.
    install: the steps that fill a folder, from the sources.
    command: what runs a program, from its path under the sources and the folder.
    version: a package's version in the lock file.
    """

    name: str
    needs: dict[str, str]
    locked: Sequence[str]
    install: Callable[[Path, Path], Sequence[Step]]
    command: Callable[[str, Path], Step]
    version: Callable[[str], str]

    @property
    def sources(self) -> Path:
        return HERE / self.name

    def ready(self) -> Path:
        """The folder where all of it is installed."""
        for program, package in self.needs.items():
            assert shutil.which(program), f"{program} isn't on PATH -> apt-get install {package}"
        folder = CACHE / f"{self.name}-{self._digest()}"
        folder.mkdir(parents=True, exist_ok=True)
        done = folder / ".installed"
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                for step in self.install(self.sources, folder):
                    found = subprocess.run(step, capture_output=True, text=True, check=False, cwd=folder)
                    assert found.returncode == 0, f"{step[0]}: {found.stdout[-2000:]}{found.stderr[-2000:]}"
                done.touch()
        return folder

    def _digest(self) -> str:
        files = sorted(file for pattern in self.locked for file in self.sources.glob(pattern))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _python(sources: Path, folder: Path) -> Sequence[Step]:
    pip = (folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    return ((sys.executable, "-m", "venv", folder), (*pip, "-r", sources / "requirements.txt"))


def _node(sources: Path, folder: Path) -> Sequence[Step]:
    copied = ("cp", sources / "package.json", sources / "package-lock.json", folder)
    return (copied, ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"))


def _go(sources: Path, folder: Path) -> Sequence[Step]:
    return (("go", "build", "-C", sources, "-o", f"{folder}/", "./..."),)


def _java(sources: Path, folder: Path) -> Sequence[Step]:
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    fetch = ("mvn", "-q", "-B", "-f", sources / "pom.xml", plugin, f"-DoutputDirectory={folder}/lib")
    return (fetch, ("javac", "-d", folder / "classes", "-cp", f"{folder}/lib/*", *sorted(sources.glob("*.java"))))


def _java_command(program: str, folder: Path) -> Step:
    fast_start = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    return ("java", *fast_start, "-cp", f"{folder}/lib/*:{folder}/classes", program.removesuffix(".java"))


def _search(file: str, pattern: str) -> str:
    found = re.search(pattern, (HERE / file).read_text(), re.MULTILINE | re.IGNORECASE)
    assert found, f"{file} pins no {pattern}"
    return found[1]


def _node_version(package: str) -> str:
    lock = json.loads((HERE / "node/package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{package}"]["version"])


LANGUAGES: dict[str, Language] = {
    language.name: language
    for language in (
        Language(
            "python",
            {},
            ["requirements.txt"],
            _python,
            lambda program, folder: (folder / "bin/python", HERE / "python" / program),
            lambda package: _search("python/requirements.txt", rf"^{re.escape(package)}==(\S+)"),
        ),
        Language(
            "node",
            {"node": "nodejs", "npm": "npm"},
            ["package-lock.json"],
            _node,
            lambda program, folder: ("env", f"NODE_PATH={folder}/node_modules", "node", HERE / "node" / program),
            _node_version,
        ),
        Language(
            "go",
            {"go": "golang"},
            ["go.mod", "go.sum", "**/*.go"],
            _go,
            lambda program, folder: (folder / Path(program).parent,),
            lambda package: _search("go/go.mod", rf"^\s*{re.escape(package)} v(\S+)"),
        ),
        Language(
            "java",
            {"javac": "default-jdk-headless", "mvn": "maven"},
            ["pom.xml", "*.java"],
            _java,
            _java_command,
            lambda package: _search("java/pom.xml", rf"<artifactId>{package}</artifactId>\s*<version>([^<]+)"),
        ),
    )
}
