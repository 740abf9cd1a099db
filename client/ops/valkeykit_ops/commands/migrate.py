"""valkeykit migrate: migrate data from Redis or Valkey to Valkey."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ConfigurationError

from valkeykit_ops.commands import migrate_options as given
from valkeykit_ops.commands.migrate_options import STATE_FOLDER
from valkeykit_ops.commands.migrate_views import show_plan, show_report, show_survey
from valkeykit_ops.migrate import endpoints
from valkeykit_ops.migrate import survey as surveys
from valkeykit_ops.migrate.options import Options, Scope
from valkeykit_ops.migrate.progress import JsonLines, LogLines, ProgressBar, ProgressReporter, ProgressSink
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.run import CutOver, Migration
from valkeykit_ops.migrate.server import MigrationServer
from valkeykit_ops.migrate.state import MigrationState

NO_GO, INCOMPLETE = 3, 4
"""Exit codes: the preflight failed; the target is incomplete."""


class _SubCommands(TyperGroup):
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The word of an unknown command isn't printed: it may be a URL with a password."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            raise typer.BadParameter(f"expected a sub-command: {', '.join(self.list_commands(ctx))}")
        return command


migrate = typer.Typer(
    name="migrate",
    cls=_SubCommands,
    help="Migrate data to Valkey: live copy, verified key by key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@migrate.command()
def survey(  # noqa: PLR0917  (typer makes them options)
    source: given.SourceServer = None,
    target: given.Target = None,
    idle: Annotated[
        float | None, typer.Option(help="Observe for this many seconds; exit 0 only if the server is idle.")
    ] = None,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the clients of the source and the commands they use."""
    with translate_errors(), contextlib.ExitStack() as stack:
        server = _opened(stack, endpoints.resolve_url(source, endpoints.SOURCE_URL), source_ca)
        other = _opened(stack, endpoints.resolve_url(target, endpoints.TARGET_URL), target_ca) if target else None
        result = surveys.take(server, other, seconds=idle or 0.0)
    show_survey(result, as_json=as_json)
    if idle is not None and not result.is_idle:
        raise typer.Exit(INCOMPLETE)


@migrate.command()
def plan(  # noqa: PLR0917  (typer makes them options)
    source: given.Source = None,
    target: given.Target = None,
    match: given.Match = None,
    rename: given.Rename = None,
    types: given.Types = None,
    databases: given.Databases = None,
    conflict: given.Conflict = "fail",
    reverse: given.Reverse = False,
    accept_loss: given.AcceptLoss = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    scratch_server: given.ScratchServer = None,
    as_json: given.AsJson = False,
) -> None:
    """Check both servers and print the plan; write nothing. Exit 3 if the migration cannot start."""
    with translate_errors():
        options = Options(
            scope=_scope(match, rename, types, databases),
            conflict="replace" if reverse else conflict,
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            reverse=reverse,
            reconnect_timeout=reconnect_timeout,
        )
        with _migration(
            source, target, options, state, source_ca, target_ca, scratch_server, as_json=as_json
        ) as migration:
            result = migration.plan()
    show_plan(result, as_json=as_json)
    raise typer.Exit(0 if result.is_go else NO_GO)


@migrate.command()
def copy(  # noqa: PLR0917  (typer makes them options)
    source: given.Source = None,
    target: given.Target = None,
    match: given.Match = None,
    rename: given.Rename = None,
    types: given.Types = None,
    databases: given.Databases = None,
    conflict: given.Conflict = "fail",
    reverse: given.Reverse = False,
    follow: given.Follow = None,
    accept_loss: given.AcceptLoss = False,
    verify: given.Verify = "full",
    notifications: given.Notifications = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    scratch_server: given.ScratchServer = None,
    as_json: given.AsJson = False,
) -> None:
    """Copy all keys while both servers are in use, and verify them. Run the same command again to resume."""
    with translate_errors():
        options = Options(
            scope=_scope(match, rename, types, databases),
            conflict="replace" if reverse else conflict,
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            reverse=reverse,
            notifications=notifications,
            verify=verify,
            reconnect_timeout=reconnect_timeout,
        )
        if follow:
            _check_follows_changes(options)
        with _migration(
            source, target, options, state, source_ca, target_ca, scratch_server, as_json=as_json
        ) as migration:
            report = migration.run(follow=follow)
    _finish(report, as_json=as_json)


@migrate.command()
def cut_over(  # noqa: PLR0917  (typer makes them options)
    source: given.Source = None,
    target: given.Target = None,
    quiet: Annotated[float, typer.Option(help="Seconds without a write after which writes count as stopped.")] = 5.0,
    pause_writes: Annotated[
        float | None, typer.Option(help="Pause writes at the source for this many seconds.")
    ] = None,
    match: given.Match = None,
    rename: given.Rename = None,
    types: given.Types = None,
    databases: given.Databases = None,
    conflict: given.Conflict = "fail",
    reverse: given.Reverse = False,
    follow: given.Follow = None,
    accept_loss: given.AcceptLoss = False,
    verify: given.Verify = "full",
    notifications: given.Notifications = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    scratch_server: given.ScratchServer = None,
    as_json: given.AsJson = False,
) -> None:
    """Copy, wait until writes stop, then copy the last changes and verify. Run the same command again to resume."""
    with translate_errors():
        options = Options(
            scope=_scope(match, rename, types, databases),
            conflict="replace" if reverse else conflict,
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            reverse=reverse,
            notifications=notifications,
            verify=verify,
            reconnect_timeout=reconnect_timeout,
        )
        _check_follows_changes(options)
        with _migration(
            source, target, options, state, source_ca, target_ca, scratch_server, as_json=as_json
        ) as migration:
            report = migration.run(CutOver(quiet, pause_writes), follow=follow)
    _finish(report, as_json=as_json)


def _scope(match: str | None, rename: str | None, types: list[str] | None, databases: list[int] | None) -> Scope:
    return Scope(match, _prefixes(rename), frozenset(types or ()), frozenset(databases or ()))


def _prefixes(rename: str | None) -> tuple[str, str] | None:
    if rename is None:
        return None
    old, colon, new = rename.partition(":")
    if not colon or not old:
        raise ConfigurationError(f"--rename {rename!r} is not OLD:NEW", fix="--rename shop.:store.")
    return old, new


def _check_follows_changes(options: Options) -> None:
    if options.conflict == "skip":
        raise ConfigurationError(
            "--conflict skip does not support a cut-over: earlier copies look like the target's own keys",
            fix="--conflict replace",
        )


@contextlib.contextmanager
def _migration(  # noqa: PLR0917  (called by the sub-commands alone)
    source: str | None,
    target: str | None,
    options: Options,
    state: Path,
    source_ca: Path | None,
    target_ca: Path | None,
    scratch_server: str | None,
    *,
    as_json: bool,
) -> Iterator[Migration]:
    source_url = endpoints.resolve_url(source, endpoints.SOURCE_URL)
    target_url = endpoints.resolve_url(target, endpoints.TARGET_URL)
    with (
        endpoints.open_source(source_url, source_ca, scratch_server) as old,
        contextlib.closing(MigrationServer(endpoints.settings(target_url, target_ca))) as new,
        contextlib.closing(MigrationState(state)) as kept,
        ProgressReporter(_progress_sink(as_json=as_json)) as reporter,
    ):
        migration = Migration(old, new, options, kept, reporter)
        with _stoppable(migration.stop):
            yield migration


def _progress_sink(*, as_json: bool) -> ProgressSink:
    if as_json:
        return JsonLines()
    return ProgressBar() if sys.stderr.isatty() else LogLines()


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the run cleanly; the state is saved in any case."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(report: MigrationReport, *, as_json: bool) -> None:
    show_report(report, as_json=as_json)
    if not report.plan.is_go:
        raise typer.Exit(NO_GO)
    raise typer.Exit(0 if report.complete else INCOMPLETE)


def _opened(stack: contextlib.ExitStack, url: str, ca: Path | None) -> MigrationServer:
    return stack.enter_context(contextlib.closing(MigrationServer(endpoints.settings(url, ca))))
