"""valkeykit queue: what is in a queue, and the few things an operator does to it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from valkeykit.queue import DeadLetter, Queue, Statistics

WATCH = 1.0
"""Seconds between two looks."""

BATCH = 500
"""Dead letters of one round trip."""

PATIENCE = 2.0
"""Seconds to try a server that doesn't answer: somebody is waiting for the screen."""


def queue(  # noqa: PLR0917  (typer makes them options)
    name: Annotated[str, typer.Argument(help="The queue's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again each second.")] = False,
    dead: Annotated[int, typer.Option(help="How many dead letters to show.")] = 10,
    requeue: Annotated[list[str] | None, typer.Option(help="Give this dead letter its attempts again.")] = None,
    requeue_all: Annotated[bool, typer.Option("--requeue-all", help="Give all dead letters theirs again.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Let no worker take jobs.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="End a pause.")] = False,
    ca: Annotated[str | None, typer.Option(help="The authority's certificate, a path.")] = None,
) -> None:
    """Show a queue: counts, rate, age, dead letters."""
    with Queue(name, ca=ca, retry_for=PATIENCE) as shown:
        if pause:
            shown.pause()
        if resume:
            shown.resume()
        if requeue:
            shown.requeue(requeue)
        if requeue_all:
            _requeue_all(shown)
        if as_json:
            typer.echo(json.dumps(_record(shown.statistics(), shown.dead_letters(dead))))
        elif watch:
            _watch(shown, dead)
        else:
            Console().print(_page(shown.name, shown.statistics(), shown.dead_letters(dead)))


def _requeue_all(shown: Queue) -> None:
    """Those that are dead now; one that dies again meanwhile stays dead."""
    number = shown.statistics().dead
    ids = [letter.id for letter in shown.dead_letters(number)] if number else []
    for first in range(0, len(ids), BATCH):
        shown.requeue(ids[first : first + BATCH])


def _watch(shown: Queue, dead: int) -> None:
    with Live(auto_refresh=False) as live:
        while True:
            live.update(_page(shown.name, shown.statistics(), shown.dead_letters(dead)), refresh=True)
            time.sleep(WATCH)


def _record(counts: Statistics, letters: list[DeadLetter]) -> dict[str, Any]:
    return asdict(counts) | {"dead_letters": [asdict(letter) for letter in letters]}


def _page(name: str, counts: Statistics, letters: list[DeadLetter]) -> RenderableType:
    table = Table(
        title=f"queue {name}" + (" (paused)" if counts.paused else ""), title_justify="left", show_header=False
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    for label, number in (
        ("waiting", counts.waiting),
        ("active", counts.active),
        ("delayed", counts.delayed),
        ("dead letters", counts.dead),
        ("completed", counts.completed),
        ("completed in the last minute", counts.completed_last_minute),
        ("retried", counts.retried),
        ("leases lost", counts.lost),
    ):
        table.add_row(label, f"{number:,}")
    table.add_row("the oldest waits, seconds", f"{counts.oldest_ms / 1000:,.1f}")
    return Group(table, _letters(letters)) if letters else table


def _letters(letters: list[DeadLetter]) -> Table:
    table = Table(title="dead letters", title_justify="left")
    for column in ("id", "job", "attempts", "failed (UTC)", "error"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        when = datetime.fromtimestamp(letter.failed_at, timezone.utc)
        table.add_row(letter.id, letter.name, str(letter.attempts), f"{when:%Y-%m-%d %H:%M:%S}", letter.error[:200])
    return table
