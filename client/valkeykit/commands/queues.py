"""All queues of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import TypeVar

from redis.exceptions import NoPermissionError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from valkeykit.commands.tables import add_row, table
from valkeykit.commands.views import View, is_neglected, live_workers, neglect
from valkeykit.connection import open_client
from valkeykit.error_translation import translate_errors
from valkeykit.errors import InvalidJobError
from valkeykit.fast_connection import FastConnection
from valkeykit.queue.activity import WorkerState
from valkeykit.queue.protocol import QueueProtocol, ScriptCall
from valkeykit.queue.schema import REGISTRY_KEY, key_prefix
from valkeykit.settings import ConnectionSettings

T = TypeVar("T")

_TRACES = ("jobs", "stats", "schedules", "workers", "config")
"""Keys of which every used queue has at least one."""


def listing(settings: ConnectionSettings) -> View:
    """List every queue that was used on this server, with its counts."""
    record, warnings, workers = [], [], list[tuple[str, WorkerState]]()
    page = table("queues", "queue", "waiting", "active", "delayed", "dead letters", "workers", "")
    with _connection(settings) as connection:
        for name in sorted(_decode(name) for name in connection.send("SMEMBERS", REGISTRY_KEY)):
            with suppress(InvalidJobError):  # no queue has such a name
                calls = QueueProtocol(name)
                counts, live = _ask(connection, calls.statistics()), live_workers(_ask(connection, calls.workers()))
                about = {"workers": len(live), "live_workers": [asdict(one) for one in live]}
                record.append({"name": name} | asdict(counts) | about)
                workers += [(name, one) for one in live]
                numbers = (counts.waiting, counts.active, counts.delayed, counts.dead, len(live))
                add_row(page, name, *(f"{number:,}" for number in numbers), "paused" if counts.paused else "")
                if is_neglected(counts, len(live)):
                    warnings.append(neglect(name))
    pages = [page, _workers(workers)] if workers else [page]
    return View(record, Group(*pages, *warnings) if record else Text("no queue has been used on this server"))


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


def _workers(workers: list[tuple[str, WorkerState]]) -> Table:
    page = table("workers", "queue", "worker", "host", "process", "reported, s ago", "running", "version")
    for name, one in workers:
        running = f"{one.running} of {one.concurrency}"
        add_row(page, name, one.name, one.host, one.pid, f"{one.heard:.1f}", running, one.version)
    return page


@contextmanager
def _connection(settings: ConnectionSettings) -> Iterator[FastConnection]:
    with (
        translate_errors(),
        closing(FastConnection(open_client(settings))) as connection,
    ):
        yield connection


def _ask(connection: FastConnection, call: ScriptCall[T]) -> T:
    return call.read(connection.run(call.script, call.keys, call.arguments))


def _decode(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
