"""Reasons why a container isn't healthy: its start script's report, else the line of its log with the cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

STOP_GRACE_SECONDS = 8.0
"""How long a node may report that it needs a repair: the others may be starting."""

WAIT_GRACE_SECONDS = 75.0
"""How long a node may wait for another one; a failover among Sentinels on a busy machine takes some 30 s."""

NEWER = "a newer version"
"""Part of messages about data that only a newer server can read."""

_STARTS = "oO0OoO0OoO0Oo"
_SEVERE = re.compile(r"^\d+:\w \d+ \w+ \d{4} [\d:.]+ # (?P<text>.+)$")
_NO_CAUSE = ("WARNING", "---", "!!!", "Error moving temp", "User requested shutdown", "Received ", "Check RDB returned")
"""Severe lines that a healthy server logs too, or that don't name the cause."""
_STARTED = ("Ready to accept connections", "Sentinel ID is ")
_CRASH = ("Guru Meditation", "BUG REPORT", "crashed by signal", "Out Of Memory", "xiting")
"""In severe lines of a server that had started: all others may be of a healthy one that was killed."""
_ORDINARY = re.compile(
    r"^\d+:\w \d+ \w+ \d{4} [\d:.]+ [.\-*#] "
    r"|^(start-[a-z]+|demote-primary): |^[\w-]+: cluster |^the cluster is healthy$"
)
"""Lines that name no cause: of the server, of its scripts, and of a cluster's keeper."""
_LOST = " are lost: "
_SENTINELS = "of the Sentinels"
_NO_CERTIFICATE = "Invalid CA Certificate"
_FATAL = ("*** FATAL", "sh: ", "mv: ", "mkdir: ", "cat: ", "/etc/valkey/bin/")


@dataclass(frozen=True)
class Reason:
    """grace_seconds: how long the state is tolerated. fix: a command, or "" where none is known.

    is_wait: it waits for other members.
    """

    text: str
    grace_seconds: float
    fix: str = ""
    state: str = "did not start"
    is_wait: bool = False

    def awaits(self, members: Sequence[str]) -> list[str]:
        """Those of the members that it is about, in the order of the text."""
        if _SENTINELS in self.text:
            return [name for name in members if name.startswith("sentinel-")]
        named = re.findall(r"[\w-]+", self.text)
        return sorted((name for name in members if name in named), key=named.index)


def find(waiting: str, log: str, repair: str, restart: str = "", *, alone: bool = False) -> Reason | None:
    """The reason that a container reports; None without one.

    waiting: the report of its start script, or of its health check.
    log: its last lines. repair, restart: the commands for it. alone: no other node may help it.
    """
    if waiting.startswith("MISCONF"):
        return Reason(waiting.strip(), STOP_GRACE_SECONDS, "free space on its disk, then make up", "rejects writes")
    kind, _, text = waiting.strip().partition(": ")
    if kind == "cluster" and text:  # its keeper's report
        return _of_cluster(text, repair)
    if _NO_CERTIFICATE in waiting:  # of the health check: the server itself has read it
        return Reason(waiting.strip(), float("inf"), "make up", "is unhealthy")
    if kind == "stale":  # reported by its health check
        return Reason(text, STOP_GRACE_SECONDS, restart, "is unhealthy")
    if kind in ("wait", "stop"):
        problem, _, repairable = text.partition("; repair it: ")
        problem, _, fix = problem.partition(" -> ")
        stop_grace_seconds = 0.0 if alone else STOP_GRACE_SECONDS
        grace_seconds = WAIT_GRACE_SECONDS if kind == "wait" else stop_grace_seconds
        return Reason(problem, grace_seconds, repair if repairable else fix, is_wait=kind == "wait")
    text = cause(log)
    return Reason(text, float("inf")) if text else None


def _of_cluster(text: str, repair: str) -> Reason:
    """Lost slots stay lost; all else may end by itself, however long it takes."""
    if _LOST not in text:
        return Reason(text, float("inf"), state="is unhealthy")
    return Reason(text, STOP_GRACE_SECONDS, repair.rpartition("=")[0] + "=<the empty node>", "is unhealthy")


def cause(log: str) -> str:
    """The line of a server's log with the cause of a failed start or a crash; "" without one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[_last(lines, _STARTS) or 0 :]
    started = _last(last, *_STARTED)
    last = last[started or 0 :]
    own = [line.split(": ", 2)[-1] for line in last if line.startswith("start-")]
    severe = [match["text"] for line in last if (match := _SEVERE.match(line))]
    if started is not None:
        severe = [text for text in severe if any(sign in text for sign in _CRASH)]
    fatal = [line.strip("* ") for line in last if line.startswith(_FATAL)]
    other = [line for line in last[-1:] if not _ORDINARY.match(line)]
    named = [*own, *(text for text in severe if not text.startswith(_NO_CAUSE)), *fatal, *other]
    return named[0].removeprefix("Guru Meditation: ").removeprefix("# ") if named else ""


def _last(lines: list[str], *signs: str) -> int | None:
    return max((number for number, line in enumerate(lines) if any(sign in line for sign in signs)), default=None)
