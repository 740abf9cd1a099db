"""valkeykit worker --check: whether the workers on this machine are live.

It imports neither redis-py nor the application, since probes have little time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from valkeykit.heartbeat import heartbeats, read_heartbeat


def check_workers(file: Path | None, *, as_json: bool) -> None:
    """Print a line for each worker process of this user; exit 1 unless there is one and all are live.

    Args:
        file: The heartbeat file to read; None for all of the default folder.
        as_json: Print a list of objects.
    """
    states = list(heartbeats()) if file is None else [state for state in [read_heartbeat(file)] if state is not None]
    if as_json:
        typer.echo(json.dumps(states))
    else:
        for state in states:
            typer.echo(_line(state))
    dead = [str(state["pid"]) for state in states if not state["live"]]
    if not states:
        where = "" if file is None else f" with the heartbeat file {file}"
        _fail(f"no worker runs on this machine{where} -> valkeykit worker module:queue")
    if dead:
        _fail(f"not live: process {', '.join(dead)} -> check its log and restart it")


def _line(state: dict[str, Any]) -> str:
    live = "live" if state["live"] else "not live"
    ready = "ready" if state["ready"] else "not ready"
    seconds = state["seconds_since_contact"]
    contact = "the server has not answered yet" if seconds is None else f"the server answered {seconds:.1f} s ago"
    return f"queue {state['queue']}, process {state['pid']}: {live}, {ready}, {contact}"


def _fail(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
