"""What the sub-commands of `valkeykit migrate` share: opening both servers, progress output, and exit codes."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import typer
from valkeykit.errors import ConfigurationError
from valkeykit.vocabulary import MigrationRole

from valkeykit_ops.commands.migrate_options import ForwardArguments, MigrationArguments
from valkeykit_ops.commands.migrate_views import show_report
from valkeykit_ops.migrate import endpoints, rdb_source
from valkeykit_ops.migrate.endpoints import TlsFiles
from valkeykit_ops.migrate.failures import translating_errors
from valkeykit_ops.migrate.migration_run import Migration
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.progress import JsonLines, LogLines, ProgressBar, ProgressReporter, ProgressSink
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState

EXIT_NO_GO, EXIT_INCOMPLETE, EXIT_UNSAFE, EXIT_SAMPLED = 3, 4, 5, 6
"""Exit codes: the preflight failed; incomplete; the command would destroy data; equal as far as a sample shows."""


STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Session:
    """Both servers and the state, as long as the sub-command runs."""

    source: MigrationServer
    target: MigrationServer
    state: MigrationState
    reporter: ProgressReporter

    @contextlib.contextmanager
    def migration(self, options: Options, state: MigrationState | None = None, *, reverse: bool = False
                  ) -> Iterator[Migration]:  # fmt: skip
        """A migration that SIGINT and SIGTERM stop cleanly."""
        source, target = (self.target, self.source) if reverse else (self.source, self.target)
        migration = Migration(source, target, options, state or self.state, self.reporter)
        with _stoppable(migration.stop):
            yield migration


@contextlib.contextmanager
def session(arguments: MigrationArguments, *, as_json: bool) -> Iterator[Session]:
    """Open both servers and the state folder.

    Raises:
        ValkeykitError: An argument is invalid, or a server is unreachable.
        typer.Exit: The command would destroy data; the error is printed.
    """
    source = endpoints.resolve_url(arguments.source, endpoints.SOURCE_URL)
    target = endpoints.resolve_url(arguments.target, endpoints.TARGET_URL)
    scratch = arguments.scratch_server if isinstance(arguments, ForwardArguments) else None
    if scratch and not rdb_source.is_file(source):
        raise typer.BadParameter("--scratch-server loads a file, but the source is a URL")
    if arguments.source_tls != TlsFiles() and rdb_source.is_file(source):
        raise typer.BadParameter("--source-ca, --source-cert and --source-key need a URL, but the source is a file")
    target_settings = endpoints.settings(target, arguments.target_tls, role="target")  # before a file is loaded
    with (
        _refusing(),
        translating_errors(),
        endpoints.open_source(source, arguments.source_tls, scratch) as old,
        contextlib.closing(MigrationServer(target_settings, role="target")) as new,
        contextlib.closing(MigrationState(arguments.state)) as state,
        ProgressReporter(_progress_sink(as_json=as_json)) as reporter,
    ):
        yield Session(old, new, state, reporter)


@contextlib.contextmanager
def opened(url: str, tls: TlsFiles, *, role: MigrationRole) -> Iterator[MigrationServer]:
    """A server."""
    with contextlib.closing(MigrationServer(endpoints.settings(url, tls, role=role), role=role)) as server:
        yield server


@contextlib.contextmanager
def checking_usage() -> Iterator[None]:
    """Report options that are invalid as wrong usage (exit 2).

    Raises:
        typer.BadParameter: An option is invalid.
    """
    try:
        yield
    except ConfigurationError as problem:
        raise typer.BadParameter(str(problem)) from None


def check_follows_changes(options: Options) -> None:
    """Raises:
    ConfigurationError: Changes of keys cannot be followed with these options.
    """
    if options.conflict == "skip":
        raise ConfigurationError(
            "--conflict skip does not support a cut-over: earlier copies look like the target's own keys",
            fix="--conflict replace",
        )


def finish(report: MigrationReport, *, as_json: bool) -> NoReturn:
    """Print the report and exit."""
    show_report(report, as_json=as_json)
    if not report.plan.is_go:
        raise typer.Exit(EXIT_NO_GO)
    raise typer.Exit(0 if report.complete else EXIT_SAMPLED if report.sampled else EXIT_INCOMPLETE)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except UnsafeOperationError as problem:
        typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(EXIT_UNSAFE) from None


def _progress_sink(*, as_json: bool) -> ProgressSink:
    if as_json:
        return JsonLines()
    return ProgressBar() if sys.stderr.isatty() else LogLines()


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP stops the run cleanly; the state is saved in any case."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOPPING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
