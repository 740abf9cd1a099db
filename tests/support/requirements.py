"""What suites need in addition to Python, make and git. It is checked before the first test of a suite runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """A program on PATH. source: where to get it; minimum: the oldest version that works."""

    name: str
    source: str
    minimum: tuple[int, ...] = ()

    def __str__(self) -> str:
        version = f" {'.'.join(map(str, self.minimum))} or newer" if self.minimum else ""
        return f"{self.name}{version} ({self.source})"

    def is_missing(self) -> bool:
        if not shutil.which(self.name):
            return True
        return bool(self.minimum) and _version(self.name) < self.minimum


NODE = (Program("node", "nodejs.org or apt-get install nodejs", (20,)), Program("npm", "apt-get install npm"))
GO = Program("go", "go.dev/dl or apt-get install golang", (1, 26))
DOCKER = Program("docker", "tests/docker/prepare, as root")
SUITES: Mapping[str, tuple[Program, ...]] = {
    "clients": (
        *NODE,
        GO,
        Program("javac", "apt-get install default-jdk-headless"),
        Program("mvn", "apt-get install maven"),
        Program("sidekiq", "apt-get install ruby-sidekiq"),
    ),
    "examples": (*NODE, GO),
    "docker": (DOCKER,),
    "operations": (DOCKER,),
    "provider": (Program("terraform", "developer.hashicorp.com/terraform/install"),),
}
PACKAGES = (Program("apt-get", "Debian or Ubuntu"), Program("dpkg", "Debian or Ubuntu"))
"""What fetches the servers of other versions once; suites in OTHER_SERVERS use them."""

OTHER_SERVERS = ("migrate", "doctor")


def missing(suites: Iterable[str]) -> Iterator[str]:
    """A line for each suite that lacks something, with everything that it lacks."""
    for suite in suites:
        needed = SUITES.get(suite, ()) + (PACKAGES if suite in OTHER_SERVERS and not _are_cached() else ())
        if lacking := [str(program) for program in needed if program.is_missing()]:
            yield f"error: the suite {suite} needs {', '.join(lacking)}"


def _are_cached() -> bool:
    from harness import binaries  # here, since `make up` imports this module too

    return binaries.are_cached()


def _version(program: str) -> tuple[int, ...]:
    """The version that `PROGRAM --version` or `PROGRAM version` prints; () if there is none."""
    for argument in ("--version", "version"):
        printed = subprocess.run([program, argument], capture_output=True, text=True, check=False).stdout
        if found := re.search(r"(\d+)\.(\d+)", printed):
            return tuple(map(int, found.groups()))
    return ()
