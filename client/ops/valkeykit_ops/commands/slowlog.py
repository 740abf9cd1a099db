"""valkeykit slowlog: the slow commands of all nodes, and those with large requests and replies."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated

import typer
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from valkeykit.error_translation import translate_error, translate_errors
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.commands.endpoint_options import CaOption, StackOption, UrlArgument, settings_of
from valkeykit_ops.stats.slow_log import Log, LoggedCommand, read_log


def slowlog(
    url: UrlArgument = None,
    *,
    stack: StackOption = None,
    log: Annotated[Log, typer.Option(help="Commands by duration, or by size (Valkey 8.1 or newer).")] = "slow",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries of a node.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ca: CaOption = None,
) -> None:
    """List the slow commands of all nodes, or those with large requests or replies."""
    # The user monitor may not run COMMANDLOG, which servers older than 8.1 do not have.
    settings = settings_of(url, stack, ca, "monitor" if log == "slow" else "admin")
    with translate_errors():
        entries, missing = _read(settings, log, limit)
    if as_json:
        typer.echo(json.dumps({"entries": [_record(node, one, log) for node, one in entries], "missing": missing}))
    elif entries:
        Console().print(_table(entries, log))
    elif not missing:
        typer.echo("no entries")
    for node, reason in missing.items():
        typer.echo(f"error: {node}: {reason}", err=True)
    if missing:
        raise typer.Exit(1)


def _read(
    settings: ConnectionSettings, log: Log, limit: int
) -> tuple[list[tuple[Node, LoggedCommand]], dict[str, str]]:
    """The entries of all nodes, newest first; and the nodes that could not be read, with the reason."""
    entries: list[tuple[Node, LoggedCommand]] = []
    missing = {}
    for node in deployment.find_nodes(settings):
        try:
            with deployment.client_of(settings, node) as client:
                entries += [(node, one) for one in read_log(client, log, limit)]
        except RedisError as error:
            missing[str(node)] = str(translate_error(error))
    return sorted(entries, key=lambda entry: -entry[1].when), missing


def _record(node: Node, one: LoggedCommand, log: Log) -> dict[str, object]:
    amount = {"seconds": one.amount / 1e6} if log == "slow" else {"bytes": one.amount}
    record = asdict(one)
    del record["amount"]
    return {"node": str(node), **record, **amount}


def _table(entries: list[tuple[Node, LoggedCommand]], log: Log) -> Table:
    table = Table()
    for column in ("time (UTC)", "node", "duration" if log == "slow" else "size", "client", "command"):
        table.add_column(column, overflow="fold", justify="right" if column in {"duration", "size"} else "left")
    for node, one in entries:
        when = datetime.fromtimestamp(one.when, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        amount = f"{one.amount / 1000:,.1f} ms" if log == "slow" else f"{one.amount / 1024:,.1f} KiB"
        table.add_row(*map(Text, (when, str(node), amount, one.client, one.command)))
    return table
