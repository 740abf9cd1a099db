"""valkeykit queue: show queues, their jobs and their workers, and operate them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.live import Live

from valkeykit.commands import queues, views
from valkeykit.commands.queue_changes import Operations, Purgeable, confirm_purge, operate
from valkeykit.commands.stacks import server_of
from valkeykit.commands.views import View
from valkeykit.queue import Queue
from valkeykit.settings import resolve_settings

REFRESH_INTERVAL_SECONDS = 1.0
"""Pause between two refreshes."""

RETRY_SECONDS = 2.0
"""How long a server that does not respond is retried; short, since a user waits."""


def queue(  # noqa: PLR0917  (typer makes them options)
    name: Annotated[
        str | None, typer.Argument(help="The queue's name; without one, all queues and workers are listed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh each second.")] = False,
    dead: Annotated[int, typer.Option(min=0, help="Number of dead letters to show.")] = 10,
    jobs: Annotated[
        Literal["waiting", "delayed", "active", "dead", "recent"] | None,
        typer.Option(help="List the jobs in this state; recent: completed lately."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="With --jobs: the maximum number of jobs.")] = 100,
    workers: Annotated[bool, typer.Option("--workers", help="List the workers and their jobs.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show each minute of the last hour.")] = False,
    job: Annotated[str | None, typer.Option(metavar="ID", help="Show a job: state, error and traceback.")] = None,
    requeue: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Requeue this dead letter with all its attempts.")
    ] = None,
    requeue_all: Annotated[bool, typer.Option("--requeue-all", help="Requeue all dead letters.")] = False,
    cancel: Annotated[list[str] | None, typer.Option(metavar="ID", help="Cancel this job.")] = None,
    purge: Annotated[Purgeable | None, typer.Option(help="Delete all jobs in this state.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --purge: do not ask for confirmation.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Pause: workers take no jobs until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a paused queue.")] = False,
    stack: Annotated[str | None, typer.Option(help="Use the endpoint of this Pulumi stack.")] = None,
    ca: Annotated[str | None, typer.Option(help="Path of the CA certificate.")] = None,
) -> None:
    """Show a queue, list its jobs and workers, or operate it. Without NAME: list all queues and workers."""
    operations = Operations(pause, resume, requeue or [], requeue_all, cancel or [], purge)
    _check_usage(name, operations, [jobs is not None, workers, history, job is not None], watch=watch, as_json=as_json)
    server, options = server_of(stack, ca)
    settings = resolve_settings(server, **options | {"decode": False})
    if name is None:
        _show(partial(queues.listing, settings), as_json=as_json, watch=watch)
        return
    with Queue(name, server, retry_for=RETRY_SECONDS, **options) as shown:
        shown.eager = None  # the queue on the server, whatever USE_VALKEY_QUEUE is
        queues.check_used(name, settings)
        if operations.is_any:
            if purge is not None and not yes:
                confirm_purge(shown, purge)
            operate(shown, operations, as_json=as_json)
        elif jobs == "recent":
            _show(partial(views.recent, shown, limit), as_json=as_json, watch=watch)
        elif jobs is not None:
            _show(partial(views.jobs, shown, jobs, limit), as_json=as_json, watch=watch)
        elif workers:
            _show(partial(views.workers, shown), as_json=as_json, watch=watch)
        elif history:
            _show(partial(views.history, shown), as_json=as_json, watch=watch)
        elif job is not None:
            _show(partial(views.job, shown, job), as_json=as_json, watch=watch)
        else:
            _show(partial(views.overview, shown, dead), as_json=as_json, watch=watch)


def _check_usage(name: str | None, operations: Operations, lists: list[bool], *, watch: bool, as_json: bool) -> None:
    if name is None and (operations.is_any or any(lists)):
        raise typer.BadParameter("NAME is missing: all options but --json, --watch, --stack and --ca need a queue")
    if sum(lists) + operations.is_any > 1:
        raise typer.BadParameter("--jobs, --workers, --history, --job and changes of the queue exclude each other")
    if operations.pause and operations.resume:
        raise typer.BadParameter("--pause and --resume exclude each other")
    if watch and (as_json or operations.is_any):
        raise typer.BadParameter("--watch shows tables: it excludes --json and changes of the queue")


def _show(look: Callable[[], View], *, as_json: bool, watch: bool) -> None:
    if as_json:
        typer.echo(json.dumps(look().record))
    elif watch:
        with Live(auto_refresh=False) as live, suppress(KeyboardInterrupt):
            while True:
                live.update(look().page, refresh=True)
                time.sleep(REFRESH_INTERVAL_SECONDS)
    else:
        Console().print(look().page)
