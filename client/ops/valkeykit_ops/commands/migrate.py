"""valkeykit migrate: migrate data from Redis or Valkey to Valkey."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from valkeykit.commands.tables import add_row, plain
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate import endpoints, survey
from valkeykit_ops.migrate.options import Options, Scope
from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.progress import JsonLines, LogLines, ProgressBar, ProgressReporter, ProgressSink
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.run import CutOver, Migration
from valkeykit_ops.migrate.server import MigrationServer
from valkeykit_ops.migrate.state import MigrationState
from valkeykit_ops.migrate.survey import Survey

NO_GO, INCOMPLETE = 3, 4
"""Exit codes: the preflight failed; the target is incomplete."""

_URL = "URL, or @FILE with the URL in its first line; default: the variable {}"


def migrate(  # noqa: PLR0917  (typer makes them options)
    source: Annotated[
        str | None, typer.Argument(help=_URL.format("SOURCE_URL") + ". Or an RDB or append-only file.")
    ] = None,
    target: Annotated[str | None, typer.Argument(help=_URL.format("TARGET_URL") + ".")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check both servers and print the plan; write nothing.")
    ] = False,
    survey_: Annotated[
        bool, typer.Option("--survey", help="Show the clients of the source and the commands they use.")
    ] = False,
    idle: Annotated[
        float | None,
        typer.Option(help="With --survey: observe for this many seconds; exit 0 only if the server is idle."),
    ] = None,
    cut_over: Annotated[
        bool, typer.Option("--cut-over", help="Wait until writes stop, then copy the last changes and verify.")
    ] = False,
    pause_writes: Annotated[
        float | None, typer.Option(help="Pause writes at the source for this many seconds.")
    ] = None,
    quiet: Annotated[float, typer.Option(help="Seconds without a write after which writes count as stopped.")] = 5.0,
    follow: Annotated[float | None, typer.Option(help="Keep the target in sync for this many seconds.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse migration: from Valkey back to Redis.")] = False,
    conflict: Annotated[str, typer.Option(help="If the target has keys in scope: fail, skip or replace.")] = "fail",
    match: Annotated[str | None, typer.Option(help="Migrate only keys that match this pattern.")] = None,
    rename: Annotated[
        str | None, typer.Option(help="Migrate only keys with a prefix, and replace it: OLD:NEW.")
    ] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Migrate only this type; can be repeated.")] = None,
    database: Annotated[list[int] | None, typer.Option(help="Migrate only this database; can be repeated.")] = None,
    rate: Annotated[int | None, typer.Option(help="Maximum keys per second.")] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="Slow down if a PING to the source takes longer than this many milliseconds.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Keys per round trip.")] = 1000,
    verify: Annotated[str, typer.Option(help="Compare all keys (full) or a sample.")] = "full",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Continue and skip keys that cannot be migrated.")
    ] = False,
    notifications: Annotated[
        bool, typer.Option("--notifications", help="Enable keyspace notifications at the source during the run.")
    ] = False,
    state: Annotated[Path, typer.Option(help="Folder for the state of the migration.")] = Path("valkeykit-migration"),
    reconnect_timeout: Annotated[
        float, typer.Option(help="Seconds that a server may be unreachable before the run fails.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
    source_ca: Annotated[Path | None, typer.Option(help="Path of the source's CA certificate.")] = None,
    target_ca: Annotated[Path | None, typer.Option(help="Path of the target's CA certificate.")] = None,
    scratch_server: Annotated[str | None, typer.Option(help="Server program that loads files.")] = None,
) -> None:
    """Migrate data to Valkey: live copy, verified key by key. Run the same command again to resume."""
    with translate_errors():
        if survey_:
            _survey(source, target, source_ca, target_ca, idle, as_json=as_json)
            return
        options = Options(
            scope=Scope(match, _prefixes(rename), frozenset(type_ or ()), frozenset(database or ())),
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
        change = CutOver(quiet, pause_writes) if cut_over or pause_writes else None
        if (change or follow) and options.conflict == "skip":
            raise ConfigurationError(
                "--conflict skip does not support a cut-over: earlier copies look like the target's own keys",
                fix="--conflict replace",
            )
        source_url, target_url = (
            endpoints.resolve_url(source, endpoints.SOURCE_URL),
            endpoints.resolve_url(target, endpoints.TARGET_URL),
        )
        with (
            endpoints.open_source(source_url, source_ca, scratch_server) as old,
            contextlib.closing(MigrationServer(endpoints.settings(target_url, target_ca))) as new,
            contextlib.closing(MigrationState(state)) as kept,
            ProgressReporter(_progress_sink(as_json=as_json)) as reporter,
        ):
            migration = Migration(old, new, options, kept, reporter)
            with _stoppable(migration.stop):
                if dry_run:
                    plan = migration.plan()
                    code = 0 if plan.is_go else NO_GO
                else:
                    report = migration.run(change, follow=follow)
                    plan = report.plan
                    code = _code(report)
    _show(plan, None if dry_run else report, as_json=as_json)
    raise typer.Exit(code)


def _code(report: MigrationReport) -> int:
    if not report.plan.is_go:
        return NO_GO
    return 0 if report.complete else INCOMPLETE


def _prefixes(rename: str | None) -> tuple[str, str] | None:
    if rename is None:
        return None
    old, colon, new = rename.partition(":")
    if not colon or not old:
        raise ConfigurationError(f"--rename {rename!r} is not OLD:NEW", fix="--rename shop.:store.")
    return old, new


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


def _show(plan: MigrationPlan, report: MigrationReport | None, *, as_json: bool) -> None:
    if as_json:
        record = {"event": "plan", **plan.record()} if report is None else {"event": "report", **report.record()}
        typer.echo(json.dumps(record))
        return
    console = Console()
    if report is None or not plan.is_go:
        console.print(_plan_table(plan))
        _print_inventory(console, plan)
    if report is not None and report.verification is not None:
        console.print(_verification_table(report))


def _plan_table(plan: MigrationPlan) -> Table:
    table = Table(
        title=plain(
            f"{plan.source} → {plan.target}: {plan.keys:,} keys, about {plan.seconds:,.0f} s: "
            + ("go" if plan.is_go else "no-go")
        ),
        title_justify="left",
    )
    for column in ("check", "", "result", "fix"):
        table.add_column(column, overflow="fold")
    for check in plan.checks:
        mark = {True: "ok", False: "NO", None: "note"}[check.ok]
        add_row(table, check.name, mark, check.text, check.fix)
    return table


def _print_inventory(console: Console, plan: MigrationPlan) -> None:
    result = plan.inventory
    if result is None:
        return
    kinds = Table(title="keys by type", title_justify="left")
    for column in ("type", "keys", "MiB"):
        kinds.add_column(column, justify="left" if column == "type" else "right")
    for kind in sorted(result.keys):
        kinds.add_row(kind, f"{result.keys[kind]:,}", f"{result.memory[kind] / 2**20:,.1f}")
    biggest = Table(title="biggest keys", title_justify="left")
    for column in ("MiB", "database", "type", "key"):
        biggest.add_column(column, overflow="fold")
    for weight, number, kind, key in result.biggest:
        add_row(biggest, f"{weight / 2**20:,.1f}", number, kind, key)
    console.print(kinds, biggest)


def _verification_table(report: MigrationReport) -> Table:
    table = Table(title="complete" if report.complete else "incomplete", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    if report.verification:
        for name, value in report.verification.record().items():
            table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    return table


def _survey(
    source: str | None,
    target: str | None,
    source_ca: Path | None,
    target_ca: Path | None,
    idle: float | None,
    *,
    as_json: bool,
) -> None:
    with contextlib.ExitStack() as stack:
        server = _opened(stack, endpoints.resolve_url(source, endpoints.SOURCE_URL), source_ca)
        other = _opened(stack, endpoints.resolve_url(target, endpoints.TARGET_URL), target_ca) if target else None
        result = survey.take(server, other, seconds=idle or 0.0)
    if as_json:
        typer.echo(json.dumps(result.record()))
    else:
        _print_survey(result)
    if idle is not None and not result.is_idle:
        raise typer.Exit(INCOMPLETE)


def _opened(stack: contextlib.ExitStack, url: str, ca: Path | None) -> MigrationServer:
    return stack.enter_context(contextlib.closing(MigrationServer(endpoints.settings(url, ca))))


def _print_survey(result: Survey) -> None:
    console = Console()
    clients = Table(title=plain(f"{result.server}: connections"), title_justify="left")
    for column in ("connections", "host", "user", "name", "library", "database"):
        clients.add_column(column, overflow="fold")
    for one, number in result.connections.items():
        add_row(clients, number, one.host, one.user, one.name, one.library, one.database)
    calls = Table(title="commands" + (f" in {result.seconds:g} s" if result.seconds else ""), title_justify="left")
    calls.add_column("command")
    calls.add_column("calls", justify="right")
    for name, number in result.commands.items():
        add_row(calls, name, f"{number:,}")
    console.print(clients, calls)
    if result.unknown:
        console.print(f"not supported by the target: {', '.join(result.unknown)}", markup=False)
