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
    with Queue(name, ca=ca) as shown:
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
    while letters := shown.dead_letters(500):
        shown.requeue([letter.id for letter in letters])


def _watch(shown: Queue, dead: int) -> None:
    with Live(auto_refresh=False) as live:
        while True:
            live.update(_page(shown.name, shown.statistics(), shown.dead_letters(dead)), refresh=True)
            time.sleep(WATCH)


def _record(counts: Statistics, letters: list[DeadLetter]) -> dict[str, Any]:
    return asdict(counts) | {"dead_letters": [asdict(letter) for letter in letters]}


def _page(name: str, counts: Statistics, letters: list[DeadLetter]) -> RenderableType:
    table = Table(title=f"queue {name}" + (" (paused)" if counts.paused else ""), title_justify="left")
    for column in ("waiting", "active", "delayed", "dead", "completed", "per minute", "retried", "lost", "oldest"):
        table.add_column(column, justify="right")
    numbers = (
        counts.waiting, counts.active, counts.delayed, counts.dead, counts.completed, counts.completed_last_minute,
        counts.retried, counts.lost,
    )  # fmt: skip
    table.add_row(*(f"{number:,}" for number in numbers), f"{counts.oldest_ms / 1000:,.1f} s")
    return Group(table, _letters(letters)) if letters else table


def _letters(letters: list[DeadLetter]) -> Table:
    table = Table(title="dead letters", title_justify="left")
    for column in ("id", "job", "attempts", "failed (UTC)", "error"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        when = datetime.fromtimestamp(letter.failed_at, timezone.utc)
        table.add_row(letter.id, letter.name, str(letter.attempts), f"{when:%Y-%m-%d %H:%M:%S}", letter.error[:200])
    return table
