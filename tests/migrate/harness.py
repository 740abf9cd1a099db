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
from valkeykit_ops.migrate import reverse as backwards
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.migration_run import Migration
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.progress import LogLines, ProgressReporter
from valkeykit_ops.migrate.report import MigrationReport
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
    """A migration with its state in a folder."""
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


def reverse(previous: str, new: str, folder: Path, cut_over: CutOver | None = None, **options: Any) -> MigrationReport:
    """Run a confirmed reverse migration; `folder` has the state of the forward migration, which was cut over."""
    with (
        contextlib.closing(MigrationState(folder)) as forward,
        contextlib.closing(MigrationServer(endpoints.settings(previous, None))) as old,
        contextlib.closing(MigrationServer(endpoints.settings(new, None))) as newer,
    ):
        summary = backwards.summarize(forward, old, newer)
        chosen = backwards.reverse_options(forward, Options(**options))
    with contextlib.closing(MigrationState(folder / backwards.FOLDER)) as kept:
        backwards.confirm(kept, summary)
    with prepared(new, previous, folder / backwards.FOLDER, chosen) as migration:
        return migration.run(cut_over)


def switched(previous: str, new: str, folder: Path) -> None:
    """A migration of nothing, cut over: both servers are empty."""
    assert migrate(previous, new, folder, CutOver(quiet=0.0)).cut_over


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
