"""valkeykit migrate: move the data of a Redis or Valkey to a Valkey."""

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
from valkeykit.ops.migrate import sides, survey
from valkeykit.ops.migrate.events import BarVoice, JsonVoice, LineVoice, Reporter, Voice
from valkeykit.ops.migrate.options import Options, Scope
from valkeykit.ops.migrate.preflight import Plan
from valkeykit.ops.migrate.report import Report
from valkeykit.ops.migrate.run import CutOver, Migration
from valkeykit.ops.migrate.server import Server
from valkeykit.ops.migrate.state import State
from valkeykit.ops.migrate.survey import Survey

NO_GO, INCOMPLETE = 3, 4
"""Exit codes: the preflight says no; not all is there."""

_URL = "a URL, @FILE with one in its first line, or the variable {}"


def migrate(  # noqa: PLR0917  (typer makes them options)
    source: Annotated[str | None, typer.Argument(help=_URL.format("SOURCE_URL") + "; or an RDB or AOF file.")] = None,
    target: Annotated[str | None, typer.Argument(help=_URL.format("TARGET_URL") + ".")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at both sides, print the plan, write nothing.")
    ] = False,
    survey_: Annotated[
        bool, typer.Option("--survey", help="Show who uses the source, and with which commands.")
    ] = False,
    idle: Annotated[
        float | None, typer.Option(help="With --survey: watch so many seconds; 0 only if nobody is there.")
    ] = None,
    cut_over: Annotated[bool, typer.Option("--cut-over", help="Wait until writes stop, then finish.")] = False,
    pause_writes: Annotated[
        float | None, typer.Option(help="Let the source hold writes back, for so many seconds.")
    ] = None,
    quiet: Annotated[float, typer.Option(help="Seconds without a write that count as stopped.")] = 5.0,
    follow: Annotated[float | None, typer.Option(help="Keep the target as the source is for so many seconds.")] = None,
    way_back: Annotated[bool, typer.Option("--way-back", help="From the new server to the old one, a Redis.")] = False,
    conflict: Annotated[str, typer.Option(help="fail, skip or replace: where the target has keys.")] = "fail",
    match: Annotated[str | None, typer.Option(help="Only keys of this pattern.")] = None,
    rename: Annotated[str | None, typer.Option(help="OLD:NEW, only keys with this prefix, which changes.")] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")] = None,
    database: Annotated[list[int] | None, typer.Option(help="Only this database; may be repeated.")] = None,
    rate: Annotated[int | None, typer.Option(help="Keys a second at most.")] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="Milliseconds: slow down when the source's PING takes longer.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Keys of one round trip.")] = 1000,
    verify: Annotated[str, typer.Option(help="full or sample.")] = "full",
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Go on without what can't be moved.")] = False,
    notifications: Annotated[
        bool, typer.Option("--notifications", help="Switch them on at the source meanwhile.")
    ] = False,
    state: Annotated[Path, typer.Option(help="The folder that keeps how far it is.")] = Path("valkeykit-migration"),
    patience: Annotated[float, typer.Option(help="Seconds that a side may be out of reach.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines.")] = False,
    source_ca: Annotated[Path | None, typer.Option(help="The authority of the source's certificate.")] = None,
    target_ca: Annotated[Path | None, typer.Option(help="The authority of the target's certificate.")] = None,
    scratch_server: Annotated[str | None, typer.Option(help="The program that loads files.")] = None,
) -> None:
    """Move data to a Valkey: copied live, compared key by key; the same command continues."""
    with translate_errors():
        if survey_:
            _survey(source, target, source_ca, target_ca, idle, as_json=as_json)
            return
        options = Options(
            scope=Scope(match, _prefixes(rename), frozenset(type_ or ()), frozenset(database or ())),
            conflict="replace" if way_back else conflict, rate=rate, max_latency=max_latency, batch=batch,
            accept_loss=accept_loss, way_back=way_back, notifications=notifications, verify=verify, patience=patience,
        )  # fmt: skip
        change = CutOver(quiet, pause_writes) if cut_over or pause_writes else None
        if (change or follow) and options.conflict == "skip":
            raise ConfigurationError(
                "--conflict skip has no cut-over: older copies can't be told from the target's own keys",
                fix="--conflict replace",
            )
        come_from, go_to = sides.named(source, sides.SOURCE_URL), sides.named(target, sides.TARGET_URL)
        with (
            sides.source(come_from, source_ca, scratch_server) as old,
            contextlib.closing(Server(sides.settings(go_to, target_ca))) as new,
            contextlib.closing(State(state)) as kept,
            Reporter(_voice(as_json=as_json)) as reporter,
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


def _code(report: Report) -> int:
    if not report.plan.is_go:
        return NO_GO
    return 0 if report.complete else INCOMPLETE


def _prefixes(rename: str | None) -> tuple[str, str] | None:
    if rename is None:
        return None
    old, colon, new = rename.partition(":")
    if not colon or not old:
        raise ConfigurationError(f"--rename {rename!r} isn't OLD:NEW", fix="--rename shop.:store.")
    return old, new


def _voice(*, as_json: bool) -> Voice:
    if as_json:
        return JsonVoice()
    return BarVoice() if sys.stderr.isatty() else LineVoice()


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run in good order; the state is kept either way."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(plan: Plan, report: Report | None, *, as_json: bool) -> None:
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


def _plan_table(plan: Plan) -> Table:
    table = Table(
        title=plain(
            f"{plan.source} → {plan.target}: {plan.keys:,} keys, about {plan.seconds:,.0f} s: "
            + ("go" if plan.is_go else "no-go")
        ),
        title_justify="left",
    )
    for column in ("check", "", "found", "mend"):
        table.add_column(column, overflow="fold")
    for check in plan.checks:
        mark = {True: "ok", False: "NO", None: "note"}[check.ok]
        add_row(table, check.name, mark, check.text, check.fix)
    return table


def _print_inventory(console: Console, plan: Plan) -> None:
    found = plan.inventory
    if found is None:
        return
    kinds = Table(title="keys by type", title_justify="left")
    for column in ("type", "keys", "MiB"):
        kinds.add_column(column, justify="left" if column == "type" else "right")
    for kind in sorted(found.keys):
        kinds.add_row(kind, f"{found.keys[kind]:,}", f"{found.memory[kind] / 2**20:,.1f}")
    biggest = Table(title="biggest keys", title_justify="left")
    for column in ("MiB", "database", "type", "key"):
        biggest.add_column(column, overflow="fold")
    for weight, number, kind, key in found.biggest:
        add_row(biggest, f"{weight / 2**20:,.1f}", number, kind, key)
    console.print(kinds, biggest)


def _verification_table(report: Report) -> Table:
    table = Table(
        title="all is there" if report.complete else "not all is there", title_justify="left", show_header=False
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    if report.verification:
        for name, value in report.verification.record().items():
            table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    return table


def _survey(source: str | None, target: str | None, source_ca: Path | None, target_ca: Path | None,
            idle: float | None, *, as_json: bool) -> None:  # fmt: skip
    with contextlib.ExitStack() as stack:
        server = _opened(stack, sides.named(source, sides.SOURCE_URL), source_ca)
        other = _opened(stack, sides.named(target, sides.TARGET_URL), target_ca) if target else None
        found = survey.take(server, other, seconds=idle or 0.0)
    if as_json:
        typer.echo(json.dumps(found.record()))
    else:
        _print_survey(found)
    if idle is not None and not found.is_idle:
        raise typer.Exit(INCOMPLETE)


def _opened(stack: contextlib.ExitStack, url: str, ca: Path | None) -> Server:
    return stack.enter_context(contextlib.closing(Server(sides.settings(url, ca))))


def _print_survey(found: Survey) -> None:
    console = Console()
    clients = Table(title=plain(f"{found.server}: connections"), title_justify="left")
    for column in ("connections", "host", "user", "name", "library", "database"):
        clients.add_column(column, overflow="fold")
    for one, number in found.connections.items():
        add_row(clients, number, one.host, one.user, one.name, one.library, one.database)
    calls = Table(title="commands" + (f" in {found.seconds:g} s" if found.seconds else ""), title_justify="left")
    calls.add_column("command")
    calls.add_column("calls", justify="right")
    for name, number in found.commands.items():
        add_row(calls, name, f"{number:,}")
    console.print(clients, calls)
    if found.unknown:
        console.print(f"the target doesn't know: {', '.join(found.unknown)}", markup=False)
