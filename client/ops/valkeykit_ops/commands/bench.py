"""valkeykit bench: benchmark an endpoint."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from valkeykit.error_translation import translate_errors

from valkeykit_ops.bench.benchmark_plan import VALUE_BYTES, BenchPlan, Cell
from valkeykit_ops.bench.load_run import Bench
from valkeykit_ops.commands.endpoint_options import CaOption, StackOption, UrlArgument, settings_of


def bench(
    url: UrlArgument = None,
    *,
    stack: StackOption = None,
    seconds: Annotated[float, typer.Option(help="Duration of the whole run in seconds.")] = 20.0,
    connections: Annotated[
        list[int] | None, typer.Option(help="Connections; can be repeated; default: 1, 4, 16, 64.")
    ] = None,
    pipeline: Annotated[
        list[int] | None, typer.Option(help="Commands per round trip; can be repeated; default: 1, 50.")
    ] = None,
    size: Annotated[int, typer.Option(help="Size of a value in bytes.")] = VALUE_BYTES,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ca: CaOption = None,
) -> None:
    """Measure throughput and latency of GET and SET, and whether client or server is the limit."""
    default = BenchPlan()
    plan = BenchPlan(
        seconds, tuple(connections or default.connections), tuple(pipeline or default.pipelines), value_bytes=size
    )
    plan.check()
    with translate_errors():
        measured = list(
            track(
                Bench(settings_of(url, stack, ca), plan).run(),
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


def _table(measured: list[Cell]) -> Table:
    table = Table(box=box.SIMPLE, collapse_padding=True, pad_edge=False)  # fits 80 columns
    for column in (
        "command",
        "pipeline",
        "conns",
        "commands\nper s",
        "p50\nms",
        "p99\nms",
        "client\nCPU",
        "server\nCPU",
    ):
        table.add_column(column, justify="left" if column == "command" else "right", overflow="fold")
    table.add_column("limit")
    for cell in measured:
        table.add_row(
            cell.command, str(cell.pipeline), str(cell.connections), f"{cell.rate:,.0f}", f"{cell.p50_ms:.2f}",
            f"{cell.p99_ms:.2f}", f"{cell.client:.0%}", f"{cell.server:.0%}", cell.limit,
        )  # fmt: skip
    return table
