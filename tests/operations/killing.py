"""Signals to a command at a moment of its run: at any time, or when it has begun what a kill may leave half-done."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.operations.leftovers import containers
from tests.operations.stack import Deployment, Name, RunningCommand, Target

Moment = Literal["time", "configuration", "files", "container", "helper", "scratch"]
"""time: uniformly over the time that the command normally takes. The others: the configuration's file was written,
the servers' files were, a container of a node exists that didn't before, or one that helps, or a scratch server."""

Way = tuple[signal.Signals, Literal["group", "session"]]
WAYS: tuple[Way, ...] = (
    (signal.SIGKILL, "group"),
    (signal.SIGKILL, "session"),
    (signal.SIGINT, "group"),
    (signal.SIGHUP, "group"),
)
"""A signal, and who receives it. Pulumi's plugins have process groups of their own, so that only the second ends them
in the middle of what they do, as the end of a container or a machine that runs out of memory does."""

_CHANGES: tuple[Name, ...] = ("rotate", "finish", "scale", "upgrade")
_WRITES: tuple[Name, ...] = (*_CHANGES, "restore")
_STARTS: tuple[Name, ...] = ("upgrade", "restore")

_POLL_SECONDS = 0.02
_DELAYS: Mapping[Moment, float] = {"configuration": 3.0, "files": 1.0, "container": 1.0, "helper": 0.2, "scratch": 1.0}
"""Seconds after the moment in which the signal comes: about as long as what has begun takes."""


@dataclass(frozen=True)
class Kill:
    """part: of the command's time, or of the delay after the moment; 0 to 1."""

    way: Way
    moment: Moment
    part: float

    @property
    def name(self) -> str:
        number, receivers = self.way
        return number.name if receivers == "group" else f"{number.name} of all"

    @property
    def delay(self) -> float:
        return self.part * _DELAYS[self.moment]

    def __str__(self) -> str:
        when = f"{self.part:.0%} of its time" if self.moment == "time" else f"{self.moment} + {self.delay:.2f} s"
        return f"{self.name} at {when}"


@contextlib.contextmanager
def signals_arrive() -> Iterator[None]:
    """Commands that start meanwhile receive signals, also where this process ignores them as a background job."""
    ignored = [number for number, _ in WAYS if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def moments(name: Name, target: Target) -> list[Moment]:
    """Those that a command may have. Time counts as often as all others."""
    tied: list[Moment] = ["configuration"] if name in _WRITES else []
    if target == "docker":
        tied += ["helper"] if name in _WRITES else []
        tied += ["container"] if name in _STARTS else []
        tied += ["scratch"] if name == "restore" else []
    else:
        tied += ["files"] if name in _WRITES else []
    untied: list[Moment] = ["time"]
    return untied * max(1, len(tied)) + tied


def carry_out(deployment: Deployment, running: RunningCommand, kill: Kill, seconds: float) -> bool:
    """Send the signal when its moment has come; False where the command ended before.

    seconds: that the command normally takes.
    """
    has_come = _waiting(deployment, running, kill, seconds)
    while running.is_alive():
        if has_come():
            if kill.moment != "time":
                time.sleep(kill.delay)
            running.send(*kill.way)
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _waiting(deployment: Deployment, running: RunningCommand, kill: Kill, seconds: float) -> Callable[[], bool]:
    if kill.moment == "time":
        return lambda: time.monotonic() > running.began + kill.part * seconds
    stack = deployment.restored if running.command.name == "restore" else running.command.stack
    look = {**_LOOKS, **(_ENGINE_LOOKS if deployment.target == "docker" else {})}[kill.moment]
    before = look(deployment, stack)
    return lambda: bool(look(deployment, stack) - before)


def _written(*files: Path) -> set[tuple[str, int]]:
    result = set()
    for file in files:
        try:
            result.add((str(file), file.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return result


def _configuration(deployment: Deployment, stack: str) -> set[tuple[str, int]]:
    return _written(deployment.configuration_file(stack))


def _server_files(deployment: Deployment, stack: str) -> set[tuple[str, int]]:
    folder = deployment.root / ".valkey" / stack
    return _written(*folder.rglob("users.acl"), *folder.rglob("valkey.conf"))


def _helpers(_deployment: Deployment, stack: str) -> set[tuple[str, int]]:
    return {(container.identity, 0) for container in containers(stack) if container.is_helper}


def _nodes(_deployment: Deployment, stack: str) -> set[tuple[str, int]]:
    return {(container.identity, 0) for container in containers(stack) if "-node-" in container.name}


def _scratch(_deployment: Deployment, stack: str) -> set[tuple[str, int]]:
    return {(container.identity, 0) for container in containers(stack) if container.name.endswith("-scratch")}


_Look = Callable[[Deployment, str], "set[tuple[str, int]]"]
_LOOKS: Mapping[Moment, _Look] = {"configuration": _configuration, "files": _server_files}
_ENGINE_LOOKS: Mapping[Moment, _Look] = {"helper": _helpers, "container": _nodes, "scratch": _scratch}
