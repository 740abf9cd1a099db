"""How each language's programs are installed and run, and where their libraries' versions are pinned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.client_libraries import HERE
from tests.support import installs
from tests.support.installs import Installation, Step


@dataclass(frozen=True)
class Language:
    """
    command: what runs a program, from its path under the language's folder and the folder of the installation.
    version: a package's version in the lock file.
    """

    installation: Installation
    command: Callable[[str, Path], Step]
    version: Callable[[str], str]


def _java_steps(sources: Path, folder: Path) -> Sequence[Step]:
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
    "python": Language(
        installs.python(HERE / "python"),
        lambda program, folder: (folder / "bin/python", HERE / "python" / program),
        lambda package: _search("python/requirements.txt", rf"^{re.escape(package)}==(\S+)"),
    ),
    "node": Language(
        installs.node(HERE / "node"),
        lambda program, folder: ("env", f"NODE_PATH={folder}/node_modules", "node", HERE / "node" / program),
        _node_version,
    ),
    "go": Language(
        installs.go(HERE / "go"),
        lambda program, folder: (folder / Path(program).parent,),
        lambda package: _search("go/go.mod", rf"^\s*{re.escape(package)} v(\S+)"),
    ),
    "java": Language(
        Installation(
            "java",
            HERE / "java",
            ["pom.xml", "*.java"],
            _java_steps,
        ),
        _java_command,
        lambda package: _search("java/pom.xml", rf"<artifactId>{package}</artifactId>\s*<version>([^<]+)"),
    ),
    "ruby": Language(
        # Debian's packages: sidekiq's brings ruby and redis-rb, so there is nothing left to install.
        Installation("ruby", HERE / "ruby", ["gems.rb"], lambda _sources, _folder: ()),
        lambda program, _folder: ("ruby", HERE / "ruby" / program),
        lambda package: _search("ruby/gems.rb", rf'^gem "{package}", "([^"]+)"'),
    ),
}
