"""Servers of any version, and a migration between two of them: in this process, or as a user types it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from valkeykit_ops.migrate import endpoints
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.progress import LogLines, ProgressReporter
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.run import CutOver, Migration
from valkeykit_ops.migrate.server import MigrationServer
from valkeykit_ops.migrate.state import MigrationState

from harness import binaries, servers

COMMAND = [sys.executable, "-c", "from valkeykit.cli import main; main()", "migrate"]

WAITS = 30.0
"""Seconds for what must come true: the machine may be busy."""


@contextlib.contextmanager
def started(folder: Path, name: str, *options: str) -> Iterator[servers.ServerProcess]:
    """A server of one of the builds."""
    with servers.running(folder, *options, program=binaries.program(name)) as server:
        yield server


@contextlib.contextmanager
def prepared(source: str, target: str, folder: Path, options: Options) -> Iterator[Migration]:
    """A migration whose state lies in a folder."""
    with (
        contextlib.closing(MigrationServer(endpoints.settings(source, None))) as old,
        contextlib.closing(MigrationServer(endpoints.settings(target, None))) as new,
        contextlib.closing(MigrationState(folder)) as state,
        ProgressReporter(LogLines()) as reporter,
    ):
        yield Migration(old, new, options, state, reporter)


def migrate(source: str, target: str, folder: Path, cut_over: CutOver | None = None, **options: Any) -> MigrationReport:
    """Run a migration to its end."""
    with prepared(source, target, folder, Options(**options)) as migration:
        return migration.run(cut_over)


def plan(source: str, target: str, folder: Path, **options: Any) -> MigrationPlan:
    """Only look."""
    with prepared(source, target, folder, Options(**options)) as migration:
        return migration.plan()


def command(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`valkeykit migrate`, run to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=environment(**variables),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def environment(**variables: str) -> dict[str, str]:
    """Of a user whose terminal is wide."""
    return os.environ | {"COLUMNS": "200", "NO_COLOR": "1"} | variables
