"""valkeykit stats and valkeykit metrics: statistics of all nodes."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ConfigurationError
from valkeykit.url import Node, parse_nodes

from valkeykit_ops.commands.endpoint_options import CaOption, StackOption, UrlArgument, settings_of
from valkeykit_ops.stats import metrics as exporter
from valkeykit_ops.stats.reading import Figures
from valkeykit_ops.stats.watch import MINUTE_SECONDS, Watch

REFRESH_INTERVAL_SECONDS = 1.0
"""Pause between two updates."""

_MIB = 2**20


def stats(
    url: UrlArgument = None,
    *,
    stack: StackOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON once.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.", min=0.1)] = None,
    ca: CaOption = None,
) -> None:
    """Watch all nodes: operations, hit rate, memory, clients, lag, latency, big and hot keys."""
    with translate_errors(), Watch(settings_of(url, stack, ca, "monitor")) as watch:
        watch.update()
        if as_json:
            time.sleep(seconds or REFRESH_INTERVAL_SECONDS)
            typer.echo(json.dumps({"nodes": [one.record() for one in watch.update()], "missing": _missing(watch)}))
            return
        _follow(watch, seconds)


def metrics(
    url: UrlArgument = None,
    *,
    stack: StackOption = None,
    listen: Annotated[str, typer.Option(help="Address for scrapes.")] = "127.0.0.1:9121",
    once: Annotated[bool, typer.Option("--once", help="Print the metrics once and exit.")] = False,
    queues: Annotated[
        bool, typer.Option("--queues", help="Include queues and workers; with --stack as the user app.")
    ] = False,
    ca: CaOption = None,
) -> None:
    """Serve metrics of all nodes for Prometheus."""
    settings = settings_of(url, stack, ca, "monitor")
    as_app = settings_of(url, stack, ca, "app") if queues else None
    if once:
        with translate_errors():
            typer.echo(exporter.text(settings, as_app), nl=False)
        return
    nodes = _listen_address(listen)
    server = exporter.serve(settings, nodes[0].host, nodes[0].port, as_app)
    typer.echo(f"http://{nodes[0]}/metrics", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.shutdown()


def _listen_address(text: str) -> tuple[Node, ...]:
    try:
        nodes = parse_nodes(text)
    except ConfigurationError:  # its text is about URLs
        nodes = ()
    if len(nodes) != 1:
        raise ConfigurationError(f"--listen {text!r} is not HOST:PORT", fix="--listen 127.0.0.1:9121")
    return nodes


def _follow(watch: Watch, seconds: float | None) -> None:
    """Show each update until the time limit or Ctrl-C; where stdout is not a terminal, a line for each node."""
    if not sys.stdout.isatty():
        for figures in _updates(watch, seconds):
            for line in plain_lines(figures, _missing(watch)):
                print(line, flush=True)
        return
    with Live(auto_refresh=False) as live:
        for figures in _updates(watch, seconds):
            live.update(_page(figures, watch, live.console.width), refresh=True)


def _updates(watch: Watch, seconds: float | None) -> Iterator[list[Figures]]:
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        while seconds is None or time.monotonic() - began < seconds:
            time.sleep(min(REFRESH_INTERVAL_SECONDS, seconds or REFRESH_INTERVAL_SECONDS))
            yield watch.update()


def plain_lines(figures: list[Figures], missing: Mapping[str, str]) -> Iterator[str]:
    """A line for each node, for files and pipes."""
    now = datetime.now(timezone.utc).strftime("%H:%M:%S")
    for one in figures:
        cells = ", ".join(f"{label} {cell(one) or '-'}" for label, cell in _ROWS.items() if label != "role")
        yield f"{now} {one.node} {one.role}: {cells}"
    for node, why in missing.items():
        yield f"{now} {node}: {why}"


def _missing(watch: Watch) -> dict[str, str]:
    return {str(node): why for node, why in watch.missing.items()}


_ROWS: dict[str, Callable[[Figures], str]] = {
    "role": lambda one: f"{one.role} {one.version}",
    "operations/s": lambda one: f"{one.operations:,.0f}",
    "operations/s, last minute": lambda one: (
        f"{one.minute:,.0f}" + (f" ({one.minute_window:.0f} s)" if one.minute_window < MINUTE_SECONDS else "")
    ),
    "hit rate": lambda one: "" if one.hit_rate is None else f"{one.hit_rate:.1%}",
    "evicted/s, expired/s": lambda one: f"{one.evicted:,.0f}, {one.expired:,.0f}",
    "CPU, of one core": lambda one: f"{one.cpu:.0%}",
    "memory": lambda one: (
        f"{one.memory / _MIB:,.1f} MiB"
        + (f" of {one.maxmemory / _MIB:,.0f} ({one.memory / one.maxmemory:.0%})" if one.maxmemory else "")
    ),
    "fragmentation": lambda one: f"{one.fragmentation:.2f}",
    "keys": lambda one: f"{one.keys:,}",
    "clients, blocked": lambda one: f"{one.clients:,}, {one.blocked:,}",
    "replication lag": lambda one: "" if one.lag is None else f"{one.lag:,.0f} s",
    "slow commands, last minute": lambda one: f"{one.slow:,}",
    "PING": lambda one: f"{one.ping_ms:.2f} ms",
}

LABEL_COLUMNS, NODE_COLUMNS = 30, 28
"""Widths for the labels and for one node. Nodes that do not fit next to each other are shown below."""


def _page(figures: list[Figures], watch: Watch, width: int) -> RenderableType:
    side_by_side = max((width - LABEL_COLUMNS) // NODE_COLUMNS, 1)
    parts: list[RenderableType] = [
        _nodes(figures[first : first + side_by_side]) for first in range(0, len(figures), side_by_side)
    ]
    if any(one.slow_log for one in figures):
        parts.append(_slow_commands(figures))
    parts.append(_keys(figures))
    parts += [Text(f"{node}: {why}", style="red") for node, why in _missing(watch).items()]
    return Group(*parts)


def _nodes(figures: list[Figures]) -> Table:
    table = Table()
    table.add_column("", style="bold", overflow="fold")
    for one in figures:
        table.add_column(Text(one.node), justify="right", overflow="fold")
    for label, cell in _ROWS.items():
        table.add_row(label, *(cell(one) for one in figures))
    return table


def _slow_commands(figures: list[Figures]) -> Table:
    table = Table(title="slow commands of the last minute", title_justify="left")
    for column in ("node", "time", "duration", "client", "command"):
        table.add_column(column, overflow="fold")
    for one in figures:
        for entry in one.slow_log:
            when = datetime.fromtimestamp(entry.when, timezone.utc).strftime("%H:%M:%S UTC")
            cells = (one.node, when, f"{entry.seconds * 1000:,.1f} ms", entry.client, entry.command)
            table.add_row(*map(Text, cells))
    return table


def _keys(figures: list[Figures]) -> Table:
    table = Table(title="sampled keys", title_justify="left")
    for column in ("node", "big key", "size", "hot key", "heat"):
        table.add_column(column, overflow="fold")
    for one in figures:
        for index in range(max(len(one.big), len(one.hot))):
            big = (
                (Text(one.big[index][0]), f"{one.big[index][1] / 1024:,.1f} KiB") if index < len(one.big) else ("", "")
            )
            hot = (Text(one.hot[index][0]), _heat(one.hot[index][1])) if index < len(one.hot) else ("", "")
            table.add_row(Text(one.node), *big, *hot)
    return table


def _size(number: int) -> str:
    return f"{number / 1024:,.1f} KiB"


def _heat(value: int) -> str:
    return f"frequency {value}" if value > 0 else f"last used {-value} s ago"
