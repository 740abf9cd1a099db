"""What a stack has left on this machine: after `make down` nothing but its backups and final snapshots."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.docker import remove_leftovers
from infra.drivers.docker.engine import Engine
from tests.operations.stack import Deployment

KEPT = ("final-", "before-", "backups", "damaged-")
"""How the entries of .valkey/<stack>/ begin that docs/ say stay."""

ENDS_WITHIN = 60.0
"""Seconds in which the processes of a command that was killed must have ended."""


@dataclass(frozen=True)
class Container:
    identity: str
    name: str
    is_helper: bool
    """Whether it isn't one of the compose project's own."""


def find(deployment: Deployment, stack: str = "") -> list[str]:
    """A line for each thing that is left of a stack that was taken down."""
    of = stack or deployment.name
    left = [*_files(deployment, of), *_locks(deployment, of), *_processes(deployment, of)]
    if deployment.target == "docker":
        left += [f"container {container.name}" for container in containers(of)]
        left += [f"volume {name}" for name in _named("volume", of) if not name.endswith("_backups")]
        left += [f"network {name}" for name in _named("network", of)]
    return [f"{of}: {line}" for line in left]


def containers(stack: str) -> list[Container]:
    """Those of a stack on the engine, by label, name or volume: a helper may have none of the first two."""
    project, label = _project(stack), f"valkey.stack=valkey/{stack}"
    listed = Engine().docker(
        "ps", "--all", "--no-trunc", "--format", '{{.ID}}\t{{.Names}}\t{{.Mounts}}\t{{.Label "valkey.stack"}}'
    )
    result = []
    for line in listed.splitlines():
        identity, name, mounts, owner = line.split("\t")
        if owner == label.partition("=")[2] or name.startswith(f"{project}-") or f"{project}_" in mounts:
            result.append(Container(identity, name, not name.startswith(f"{project}-")))
    return result


def remove(deployment: Deployment) -> None:
    """Remove all of it, whatever state it is in."""
    for process in deployment.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(10)
    if deployment.target != "docker":
        return
    for stack in (deployment.name, deployment.restored):
        if names := [container.identity for container in containers(stack)]:
            Engine().docker("rm", "--force", "--volumes", *names)
        remove_leftovers(f"valkey/{stack}")
        for kind in ("network", "volume"):
            if names := _named(kind, stack):
                Engine().docker(kind, "rm", *names)


def _project(stack: str) -> str:
    return f"valkey-{stack}"


def _named(kind: str, stack: str) -> list[str]:
    listed = Engine().docker(kind, "ls", "--format", "{{.Name}}").split()
    return [name for name in listed if name.startswith(f"{_project(stack)}_")]


def _files(deployment: Deployment, stack: str) -> Iterator[str]:
    folder = deployment.root / ".valkey"
    beside: Sequence[Path] = sorted(folder.glob(f"{stack}.*"))
    yield from (f"file .valkey/{path.name}" for path in beside)
    inside: Sequence[Path] = sorted((folder / stack).glob("*"))
    yield from (f"file .valkey/{stack}/{path.name}" for path in inside if not path.name.startswith(KEPT))
    yield from (f"file .valkey/{stack}/backups/{path.name}" for path in (folder / stack / "backups").glob("*.part"))


def _locks(deployment: Deployment, stack: str) -> Iterator[str]:
    locks = deployment.root / ".valkey" / "state" / ".pulumi" / "locks"
    yield from (f"lock {path.relative_to(locks)}" for path in locks.rglob("*.json") if stack in path.parts)


def _processes(deployment: Deployment, stack: str) -> Iterator[str]:
    """Servers at once; commands that were killed may need a moment to end, once no other stack's servers run."""
    folder = (deployment.root / ".valkey" / stack).resolve()
    for server in deployment.servers():
        with contextlib.suppress(psutil.Error):
            if Path(server.cwd()).is_relative_to(folder):
                yield f"process {server.name()} {server.pid}"
    end = time.monotonic() + ENDS_WITHIN
    if stack != deployment.name:
        return
    while others := [process for process in deployment.processes() if process not in deployment.servers()]:
        if time.monotonic() > end:
            yield from (f"process {process.pid} ({process.name()})" for process in others if process.is_running())
            return
        time.sleep(0.5)
