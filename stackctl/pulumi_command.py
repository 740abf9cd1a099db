"""A long Pulumi command: its output or its progress is shown, and its events are read."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.outputs import STAGED_UPDATES
from stackctl import engine_events, lock
from stackctl.engine_events import UpdateEvents
from stackctl.messages import is_verbose, show
from stackctl.progress import Progress
from stackctl.update_report import UpdateReport


@dataclass(frozen=True)
class CommandResult:
    """output: what the command wrote to stderr. events: what happened."""

    output: str
    returncode: int
    is_interrupted: bool
    events: UpdateEvents


def run(arguments: list[str], root: Path, environment: Mapping[str, str], *, is_quiet: bool) -> CommandResult:
    """Run a command.

    Args:
        arguments: of `pulumi`.
        root: the project's folder.
        environment: of the command.
        is_quiet: show what it works on, its messages and a line with the result, unless VERBOSE is set.
    """
    is_quiet = is_quiet and not is_verbose()
    # Files without names, so that a killed command leaves nothing.
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryFile("w+") as printed:
        report = UpdateReport(log)
        with (
            Progress(f"pulumi {arguments[0]}", report.poll) if is_quiet else contextlib.nullcontext(),
            subprocess.Popen(
                ["pulumi", *arguments, "--event-log", f"/dev/fd/{log.fileno()}"],
                cwd=root, env={**environment, **engine_events.ENVIRONMENT, STAGED_UPDATES: "true"},
                stdout=printed if is_quiet else None, stderr=subprocess.PIPE, text=True,
                pass_fds={*lock.inherited, log.fileno()},
            ) as process,
        ):  # fmt: skip
            output, is_interrupted = _listen(process)
        log.seek(0)
        result = CommandResult(output, process.returncode, is_interrupted, engine_events.parse(log))
        if is_quiet:
            report.poll()
            if not result.returncode and arguments[0] != "preview":
                show(report.summary())
            if result.returncode and not result.events.errors:
                printed.seek(0)
                sys.stderr.write(printed.read())
            for error in result.events.errors[1:]:  # the first one is printed last, by this command
                show(f"error: {error}")
    return result


def _listen(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """Print a command's messages until it ends; return them, and whether it was interrupted."""
    output, is_interrupted = "", False
    while True:
        try:
            for line in process.stderr or ():
                if not line.startswith("error: "):  # this command prints it last
                    sys.stderr.write(line)
                output += line
            process.wait()
            return output, is_interrupted
        except KeyboardInterrupt:  # Pulumi ends the operation that is under way; a second one ends Pulumi
            is_interrupted = True
