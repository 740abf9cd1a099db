"""The repair container: a container without network in which a node's volume is examined and repaired."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from infra.drivers.docker import aof, deployment_files, reasons
from infra.drivers.docker.container_deployment import ContainerDeployment
from infra.drivers.docker.engine import Engine
from infra.errors import ProvisioningError

DATA = "/data"
FOLDER = f"{DATA}/appendonlydir"
NEW = f"{DATA}/repairing"
"""The new files of a repair, until they are put in place."""


RecordedRole = Literal["master", "slave", "stopped"]
"""stopped: a primary that was shut down in order."""

_ROLES: dict[str, RecordedRole] = {role: role for role in get_args(RecordedRole)}


@dataclass(frozen=True)
class RecordedPosition:
    """The position that a node records about every second: see container/bin/holdings."""

    project: str = ""
    role: RecordedRole = "master"
    replid: str = "0" * 40
    offset: int = 0
    file: str = "-"
    size: int = 0
    durable: int = 0
    keys: int = 0
    seen: int = 1
    version: str = ""
    base: str = ""
    earlier: int = 0

    @classmethod
    def parse(cls, text: str) -> RecordedPosition | None:
        words = text.split()
        if len(words) not in (9, 10, 12) or not "".join([words[3], *words[5:9], *words[11:]]).isdigit():
            return None
        if (role := _ROLES.get(words[1])) is None:
            return None
        project, _, replid, offset, file, *numbers = words[:9]
        size, durable, keys, seen = map(int, numbers)
        position = cls(project, role, replid, int(offset), file, size, durable, keys, seen, "".join(words[9:10]))
        return replace(position, base=words[10], earlier=int(words[11])) if words[10:] else position

    def __str__(self) -> str:
        numbers = (self.size, self.durable, self.keys, self.seen)
        words = (self.project, self.role, self.replid, self.offset, self.file, *numbers, self.version)
        return " ".join(map(str, (*words, self.base, self.earlier) if self.base else words)).rstrip()


@dataclass(frozen=True)
class RepairContainer:
    engine: Engine
    container: str

    def run(self, *command: str) -> str:
        return self.engine.docker("exec", self.container, *command)

    def read(self, path: str) -> str:
        """The text of a small file; "" if it is missing."""
        return self.run("sh", "-c", 'cat "$1" 2>/dev/null || true', "sh", path)

    def write(self, path: str, text: str) -> None:
        script = 'cat >"$1.new" && mv "$1.new" "$1"'
        command = ("exec", "-i", self.container, "sh", "-c", script, "sh", path)
        self.engine.docker(*command, stdin=text.encode())

    def names(self, folder: str) -> list[str]:
        """The files of a folder, without incomplete ones of a server."""
        listed = self.run("sh", "-c", 'ls -A "$1" 2>/dev/null || true', "sh", folder).splitlines()
        return [name for name in listed if not name.startswith("temp-")]

    def size(self, path: str) -> int:
        return int(self.run("stat", "-c", "%s", path))

    def check(self, file: aof.AofFile) -> tuple[str, int | None]:
        """The problem of an append-only file, or ""; and the number of its sound bytes, if any can be kept.

        Raises:
            ProvisioningError: the server's tool can't check it.
        """
        path, tool = f"{FOLDER}/{file.name}", "valkey-check-rdb" if file.is_snapshot else "valkey-check-aof"
        code, _, report = self.run("sh", "-c", 'out=$("$@" 2>&1); echo "$? $out"', "sh", tool, path).partition(" ")
        if file.is_snapshot:
            cause = next((line for line in report.splitlines() if "offset" in line and line.find("rror", 9) > 0), "")
            problem = cause or next((line for line in reversed(report.splitlines()) if "[offset" in line), "")
            if code != "0" and self._is_of_unknown_version(report, path):
                return f"{file.name} was written by {reasons.NEWER} of Valkey", None
            return ("" if code == "0" else f"{file.name} is damaged: {problem}"), None
        size, sound = self.size(path), aof.sound_bytes(report)
        if file.kind == "b" and not size:
            return f"{file.name} is empty", None
        if sound is None:
            raise ProvisioningError(f"{file.name} can't be checked: {report.strip().splitlines()[-1]}")
        return ("" if sound == size else f"{file.name} is damaged after byte {sound} of {size}"), sound

    def _is_of_unknown_version(self, report: str, path: str) -> bool:
        """Whether a snapshot that the server's tool can't read has the header of an unknown version."""
        if "Wrong signature" not in report and "handle RDB format version" not in report:
            return False
        script = 'head -c 9 "$1" | grep -Eq "^(REDIS0|VALKEY)[0-9]{3}$" && echo yes || true'
        return bool(self.run("sh", "-c", script, "sh", path))

    def version(self) -> str:
        """The server's version, as major.minor.patch; "" if it reports none."""
        match = re.search(r"\bv=([\d.]+)", self.run("valkey-server", "--version"))
        return match[1] if match else ""

    def step(self, *arguments: str) -> str:
        """Run a step of container/bin/repair-files."""
        return self.run("sh", "-c", deployment_files.scripts()["repair-files"], "repair-files", *arguments).strip()


@contextlib.contextmanager
def open_repair_container(deployment: ContainerDeployment, node: str) -> Iterator[RepairContainer]:
    """Open a repair container for a node's volume, and replace that of a killed run.

    Raises:
        ProvisioningError: the volume doesn't exist.
    """
    engine, plan, volume = deployment.engine, deployment.plan, deployment.volume(node)
    if not engine.inspect("volume", volume):
        raise ProvisioningError(f"{node} has no volume, so there is nothing to repair", fix="make up")
    name = f"{plan.project}-{node}-repair"
    engine.docker("rm", "--force", "--volumes", name)
    engine.docker(
        "run", "--detach", "--init", "--name", name, *deployment.labels("repair"), "--network", "none",
        "--user", "999:999", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--read-only",
        "--tmpfs", "/tmp:size=16m,noexec,nosuid,nodev",  # noqa: S108  (the container's own)
        "-v", f"{volume}:{DATA}", plan.image, "sleep", "infinity",
    )  # fmt: skip
    try:
        yield RepairContainer(engine, name)
    finally:
        engine.docker("rm", "--force", "--volumes", name)
