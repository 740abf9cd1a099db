"""Why a container isn't healthy: what its start script waits for, else the line of its log that names the cause."""

from __future__ import annotations

import re
from dataclasses import dataclass

STOP_SECONDS = 8.0
"""How long a node may say that it needs a repair: the others may just be starting."""

WAIT_SECONDS = 75.0
"""How long a node may wait for another one; a failover among Sentinels on a busy machine takes some 30 s."""

NEWER = "a newer version"
"""In what a node reports, or a repair finds, about data that only a newer server reads."""

_STARTS = "oO0OoO0OoO0Oo"
_SEVERE = re.compile(r"^\d+:\w \d+ \w+ \d{4} [\d:.]+ # (?P<text>.+)$")
_NO_CAUSE = ("WARNING", "---", "!!!", "Error moving temp", "User requested shutdown", "Received ", "Check RDB returned")
"""Severe lines that a healthy server logs too, or that don't name what failed."""
_FATAL = ("*** FATAL", "sh: ", "mv: ", "mkdir: ", "cat: ", "/etc/valkey/bin/")


@dataclass(frozen=True)
class Reason:
    """patience: seconds that it may go on like this. fix: a command, or "" where none is known."""

    text: str
    patience: float
    fix: str = ""
    state: str = "did not start"


def find(waiting: str, log: str, repair: str) -> Reason | None:
    """The reason that a container gives; None where it gives none.

    waiting: what its start script waits for, or what its server answers instead of PONG.
    log: its last lines. repair: the command for it.
    """
    if waiting.startswith("MISCONF"):
        return Reason(waiting.strip(), STOP_SECONDS, "free space on its disk, then make up", "rejects writes")
    kind, _, text = waiting.strip().partition(": ")
    if kind in ("wait", "stop"):
        problem, _, repairable = text.partition("; repair it: ")
        problem, _, fix = problem.partition(" -> ")
        patience = WAIT_SECONDS if kind == "wait" else STOP_SECONDS
        return Reason(problem, patience, repair if repairable else fix)
    found = cause(log)
    return Reason(found, float("inf")) if found else None


def cause(log: str) -> str:
    """The line of a server's log that names why its last start failed; "" where the log is empty."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    begin = max((number for number, line in enumerate(lines) if _STARTS in line), default=0)
    last = lines[begin:]
    own = [line.split(": ", 2)[-1] for line in last if line.startswith("start-")]
    severe = [match["text"] for line in last if (match := _SEVERE.match(line))]
    fatal = [line.strip("* ") for line in last if line.startswith(_FATAL)]
    named = [*own, *(text for text in severe if not text.startswith(_NO_CAUSE)), *fatal, *last[-1:]]
    return named[0].removeprefix("Guru Meditation: ").removeprefix("# ") if named else ""
