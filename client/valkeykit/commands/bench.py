"""valkeykit bench: what this endpoint can do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from valkeykit.error_translation import translate_errors
from valkeykit.ops import plot as plots
from valkeykit.ops.bench.plan import VALUE_BYTES, Cell, Plan
from valkeykit.ops.bench.run import Bench
from valkeykit.settings import resolve_settings


def bench(  # noqa: PLR0917  (typer makes them options)
    url: Annotated[str | None, typer.Argument(help="A URL; VALKEY_URL, else REDIS_URL, where none is given.")] = None,
    seconds: Annotated[float, typer.Option(help="Of the whole run.")] = 20.0,
    connections: Annotated[list[int] | None, typer.Option(help="May be repeated: 1, 4, 16, 64.")] = None,
    pipeline: Annotated[
        list[int] | None, typer.Option(help="Commands of a round trip; may be repeated: 1, 50.")
    ] = None,
    size: Annotated[int, typer.Option(help="Bytes of a value.")] = VALUE_BYTES,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw latency against throughput into this .svg or .png.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The authority of the server's certificate, a path.")] = None,
) -> None:
    """Measure GET and SET: throughput against latency, and who is the limit. Its keys go at the end."""
    usual = Plan()
    plan = Plan(seconds, tuple(connections or usual.connections), tuple(pipeline or usual.pipelines), value_bytes=size)
    plan.check()
    if plot:
        plots.check(plot)
    with translate_errors():
        measured = list(
            track(
                Bench(resolve_settings(url, ca=ca), plan).run(),
                description="measuring",
                total=len(plan.cells),
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
        )
    if as_json:
        typer.echo(json.dumps([cell.record() for cell in measured]))
    else:
        Console().print(_table(measured))
    if plot:
        plots.write(plot, "valkeykit bench", _panels(measured))


def _table(measured: list[Cell]) -> Table:
    table = Table()
    for column in ("", "pipeline", "connections", "a second", "p50, ms", "p99, ms", "client CPU", "server CPU"):
        table.add_column(column, justify="right" if column else "left")
    table.add_column("limit")
    for cell in measured:
        table.add_row(
            cell.command, str(cell.pipeline), str(cell.connections), f"{cell.rate:,.0f}", f"{cell.p50_ms:.2f}",
            f"{cell.p99_ms:.2f}", f"{cell.client:.0%}", f"{cell.server:.0%}", cell.limit,
        )  # fmt: skip
    return table


def _panels(measured: list[Cell]) -> list[plots.Panel]:
    panels = []
    for pipeline in dict.fromkeys(cell.pipeline for cell in measured):
        lines: dict[str, list[tuple[float, float]]] = {}
        for cell in measured:
            if cell.pipeline == pipeline:
                for share, value in (("p50", cell.p50_ms), ("p99", cell.p99_ms)):
                    lines.setdefault(f"{cell.command} {share}", []).append((cell.rate, value))
        title = "one command a round trip" if pipeline == 1 else f"{pipeline} commands a round trip"
        panels.append(plots.Panel(title, "commands a second", "ms", lines, is_log=True))
    return panels
