"""All queues of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import Any

from redis.exceptions import NoPermissionError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from valkeykit.commands.tables import add_row, table
from valkeykit.commands.views import View, neglect
from valkeykit.connection import open_client
from valkeykit.error_translation import translate_errors
from valkeykit.errors import InvalidJobError
from valkeykit.fast_connection import FastConnection
from valkeykit.queue.registry import QueueReading, read_queues
from valkeykit.queue.schema import REGISTRY_KEY, key_prefix
from valkeykit.settings import ConnectionSettings

_TRACES = ("jobs", "stats", "schedules", "workers", "config")
"""Keys of which every used queue has at least one."""


def listing(settings: ConnectionSettings) -> View:
    """List every queue that was used on this server, with its counts, and the workers."""
    with _connection(settings) as connection:
        queues = list(read_queues(connection))
    page = table("queues", "queue", "waiting", "active", "delayed", "dead letters", "workers", "")
    for queue in queues:
        counts = queue.counts
        numbers = (counts.waiting, counts.active, counts.delayed, counts.dead, len(queue.workers))
        add_row(page, queue.name, *(f"{number:,}" for number in numbers), "paused" if counts.paused else "")
    pages = [page, _workers(queues)] if any(queue.workers for queue in queues) else [page]
    warnings = [neglect(queue.name) for queue in queues if queue.is_neglected]
    shown = Group(*pages, *warnings) if queues else Text("no queue has been used on this server")
    return View([_record(queue) for queue in queues], shown)


def check_used(name: str, settings: ConnectionSettings) -> None:
    """Check that a queue of this name exists, since a misspelled name looks like an empty queue.

    Raises:
        InvalidJobError: No such queue was used on this server.
    """
    with _connection(settings) as connection:
        with suppress(NoPermissionError):  # a user may be limited to the keys of one queue
            if connection.send("SISMEMBER", REGISTRY_KEY, name):
                return
        if not connection.send("EXISTS", *[f"{key_prefix(name)}:{key}" for key in _TRACES]):
            raise InvalidJobError(f"no queue named {name!r} has been used on this server", fix="valkeykit queue")


def _record(queue: QueueReading) -> dict[str, Any]:
    workers = {"workers": len(queue.workers), "live_workers": [asdict(one) for one in queue.workers]}
    return {"name": queue.name} | asdict(queue.counts) | workers


def _workers(queues: list[QueueReading]) -> Table:
    page = table("workers", "queue", "worker", "host", "process", "reported, s ago", "running", "version")
    for queue in queues:
        for one in queue.workers:
            running = f"{one.running} of {one.concurrency}"
            add_row(
                page, queue.name, one.name, one.host, one.pid, f"{one.last_report_seconds:.1f}", running, one.version
            )
    return page


@contextmanager
def _connection(settings: ConnectionSettings) -> Iterator[FastConnection]:
    with (
        translate_errors(),
        closing(FastConnection(open_client(settings))) as connection,
    ):
        yield connection
