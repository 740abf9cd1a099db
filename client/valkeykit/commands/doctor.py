"""valkeykit doctor: what is wrong with an endpoint, and what mends it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from valkeykit import cli
from valkeykit.errors import ConfigurationError
from valkeykit.ops.doctor import run, target
from valkeykit.ops.doctor.deadline import TOTAL
from valkeykit.ops.doctor.finding import LAYERS, NOTE, PROBLEM, WARNING, Finding, Report

HEALTHY, UNHEALTHY, USAGE = 0, 1, 2
"""Exit codes."""

WITHIN, LEAST = 4.0, 1.2
"""Seconds from the start of the command to the verdict, and what the examination gets in any case."""

_COLOUR = {PROBLEM: "red", WARNING: "yellow", NOTE: "dim"}


def doctor(
    url: Annotated[str | None, typer.Argument(help="A URL; VALKEY_URL, else REDIS_URL, where none is given.")] = None,
    stack: Annotated[str | None, typer.Option(help="The endpoint of this Pulumi stack.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The authority of the server's certificate, a path.")] = None,
    workload: Annotated[str | None, typer.Option(help="cache, queue or mixed: what the server is for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at an endpoint layer by layer, and say what mends it. Exit 1: there is a problem."""
    if url and stack:
        raise typer.BadParameter("a URL and --stack name two endpoints")
    try:
        chosen = target.of_stack(stack, workload) if stack else target.of_url(url, ca, workload)
    except ConfigurationError as problem:
        typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(USAGE) from None
    report = run.examine(chosen, _seconds_left(asked_pulumi=stack is not None))
    if as_json:
        typer.echo(json.dumps(report.record()))
    else:
        _show(report)
    raise typer.Exit(HEALTHY if report.is_healthy else UNHEALTHY)


def _seconds_left(*, asked_pulumi: bool) -> float:
    """What the start of a busy machine has left of WITHIN; asking Pulumi comes on top."""
    spent = 0.0 if asked_pulumi else time.monotonic() - cli.STARTED
    return min(TOTAL, max(WITHIN - spent, LEAST))


def _show(report: Report) -> None:
    console = Console()
    states = "  ".join(f"{layer} {report.state(layer)}" for layer in LAYERS)
    console.print(f"{report.target}: {states}", markup=False)
    if report.findings:
        table = Table(show_lines=True)
        for column in ("layer", "", "what", "sure", "mend"):
            table.add_column(column, overflow="fold")
        for nodes, one in _merged(report):
            what = f"{nodes}: {one.what}: {one.why}"
            table.add_row(*map(Text, (one.layer, one.severity, what, one.sure, one.fix)), style=_COLOUR[one.severity])
        console.print(table)
    console.print(f"{report.verdict} ({report.seconds:.1f} s)", markup=False)


def _merged(report: Report) -> list[tuple[str, Finding]]:
    """What is the same on several nodes stands once, with the first one's mend."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for one in report.findings:
        rows.setdefault((one.name, one.what), []).append(one)
    return [(", ".join(dict.fromkeys(one.node for one in same)), same[0]) for same in rows.values()]
