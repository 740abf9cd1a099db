"""valkeykit doctor: diagnose an endpoint."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from valkeykit import cli
from valkeykit.errors import ConfigurationError

from valkeykit_ops.doctor import examination, target
from valkeykit_ops.doctor.deadline import TOTAL_SECONDS
from valkeykit_ops.doctor.finding import LAYERS, NOTE, PROBLEM, WARNING, DoctorReport, Finding

HEALTHY, UNHEALTHY, USAGE = 0, 1, 2
"""Exit codes."""

COMMAND_SECONDS, MIN_EXAMINATION_SECONDS = 4.0, 1.2
"""Time limit of the command from its start, and the minimum for the examination."""

_COLORS = {PROBLEM: "red", WARNING: "yellow", NOTE: "blue"}


def doctor(
    url: Annotated[str | None, typer.Argument(help="URL of the endpoint; default: VALKEY_URL, else REDIS_URL.")] = None,
    *,
    stack: Annotated[str | None, typer.Option(help="Examine the endpoint of this Pulumi stack.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Path of the CA certificate.")] = None,
    workload: Annotated[str | None, typer.Option(help="Workload of the server: cache, queue or mixed.")] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Also print notes, such as the latency.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine an endpoint layer by layer and print how to fix it. Exit 1 if there is a problem."""
    if url and stack:
        raise typer.BadParameter("a URL and --stack exclude each other")
    try:
        chosen = target.of_stack(stack, workload) if stack else target.of_url(url, ca, workload)
    except ConfigurationError as problem:
        typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(USAGE) from None
    report = examination.examine(chosen, _seconds_left(queried_pulumi=stack is not None))
    if as_json:
        typer.echo(json.dumps(report.record()))
    else:
        _show(report, with_notes=notes)
    raise typer.Exit(HEALTHY if report.is_healthy else UNHEALTHY)


def _seconds_left(*, queried_pulumi: bool) -> float:
    """The time that remains after the start of the command; the query to Pulumi is extra."""
    spent = 0.0 if queried_pulumi else time.monotonic() - cli.STARTED
    return min(TOTAL_SECONDS, max(COMMAND_SECONDS - spent, MIN_EXAMINATION_SECONDS))


def _show(report: DoctorReport, *, with_notes: bool) -> None:
    """Print each finding as a paragraph. Its fix is a line of its own that is never wrapped, so it can be copied."""
    chosen = [(nodes, same) for nodes, same in _merged(report) if with_notes or same[0].severity != NOTE]
    for nodes, same in chosen:
        one = same[0]
        heading = typer.style(f"{one.severity} {one.name}", fg=_COLORS[one.severity], bold=True)
        typer.echo(f"{heading} ({one.layer}, {one.confidence}, {nodes})")
        typer.echo(f"{one.what}: {one.why}")
        for fix in dict.fromkeys(finding.fix for finding in same):
            typer.echo(f"  {fix}")
        typer.echo()
    if chosen:
        healthy = ", ".join(layer for layer in LAYERS if report.state(layer) == "ok")
        typer.echo(f"ok: {healthy or 'nothing'}")
    note = f"{report.seconds:.1f} s, vulnerability data of {report.vulnerability_data}"
    typer.echo(f"{report.target}: {report.verdict} ({note})")


def _merged(report: DoctorReport) -> list[tuple[str, list[Finding]]]:
    """Merge equal findings of several nodes."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for one in report.findings:
        rows.setdefault((one.name, one.what), []).append(one)
    return [(", ".join(dict.fromkeys(one.node for one in same)), same) for same in rows.values()]
