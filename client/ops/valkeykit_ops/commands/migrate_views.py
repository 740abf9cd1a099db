"""Tables of `valkeykit migrate`: the plan, the verification and the survey."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from valkeykit.commands.tables import add_row, plain

from valkeykit_ops.migrate.preflight import MigrationPlan
from valkeykit_ops.migrate.progress import print_line
from valkeykit_ops.migrate.report import MigrationReport
from valkeykit_ops.migrate.survey import Survey


def show_plan(plan: MigrationPlan, *, as_json: bool) -> None:
    """Print the checks of a plan, and the source's keys by type."""
    if as_json:
        print_line(json.dumps({"event": "plan", **plan.record()}))
    else:
        _print_plan(Console(), plan)


def show_report(report: MigrationReport, *, as_json: bool) -> None:
    """Print the verification of a run, and its plan if the run did not start."""
    if as_json:
        print_line(json.dumps({"event": "report", **report.record()}))
        return
    console = Console()
    if not report.plan.is_go:
        _print_plan(console, report.plan)
    if report.verification is not None:
        console.print(_verification_table(report))
        console.print(report.verdict, markup=False, highlight=False)


def show_survey(survey: Survey, *, as_json: bool) -> None:
    """Print the connections and the commands of a server."""
    if as_json:
        print_line(json.dumps(survey.record()))
    else:
        _print_survey(Console(), survey)


def _print_plan(console: Console, plan: MigrationPlan) -> None:
    console.print(_plan_table(plan))
    _print_inventory(console, plan)


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
    table = Table(title="verification, in keys", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    if report.verification:
        for name, value in report.verification.record().items():
            if name in {"full", "bound"}:
                continue
            table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    return table


def _print_survey(console: Console, result: Survey) -> None:
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
