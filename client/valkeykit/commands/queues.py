"""All queues of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import TypeVar

from redis.exceptions import NoPermissionError
from rich.console import Group
from rich.text import Text

from valkeykit.commands.tables import add_row, table
from valkeykit.commands.views import View, count_live, is_neglected, neglect
from valkeykit.connection import open_client
from valkeykit.error_translation import translate_errors
from valkeykit.errors import InvalidJobError
from valkeykit.fast_connection import FastConnection
from valkeykit.queue.protocol import QueueProtocol, ScriptCall
from valkeykit.queue.schema import REGISTRY_KEY, key_prefix
from valkeykit.settings import resolve_settings

T = TypeVar("T")

_TRACES = ("jobs", "stats", "schedules", "workers", "config")
"""Keys of which every used queue has at least one."""


def listing(ca: str | None) -> View:
    """List every queue that was used on this server, with its counts."""
    record, warnings = [], []
    page = table("queues", "queue", "waiting", "active", "delayed", "dead letters", "workers", "")
    with _connection(ca) as connection:
        for name in sorted(_decode(name) for name in connection.send("SMEMBERS", REGISTRY_KEY)):
            with suppress(InvalidJobError):  # no queue has such a name
                calls = QueueProtocol(name)
                counts, live = _ask(connection, calls.statistics()), count_live(_ask(connection, calls.workers()))
                record.append({"name": name} | asdict(counts) | {"workers": live})
                numbers = (counts.waiting, counts.active, counts.delayed, counts.dead, live)
                add_row(page, name, *(f"{number:,}" for number in numbers), "paused" if counts.paused else "")
                if is_neglected(counts, live):
                    warnings.append(neglect(name))
    return View(record, Group(page, *warnings) if record else Text("no queue has been used on this server"))


def check_used(name: str, ca: str | None) -> None:
    """Check that a queue of this name exists, since a misspelled name looks like an empty queue.

    Raises:
        InvalidJobError: No such queue was used on this server.
    """
    with _connection(ca) as connection:
        with suppress(NoPermissionError):  # a user may be limited to the keys of one queue
            if connection.send("SISMEMBER", REGISTRY_KEY, name):
                return
        if not connection.send("EXISTS", *[f"{key_prefix(name)}:{key}" for key in _TRACES]):
            raise InvalidJobError(f"no queue named {name!r} has been used on this server", fix="valkeykit queue")


@contextmanager
def _connection(ca: str | None) -> Iterator[FastConnection]:
    with (
        translate_errors(),
        closing(FastConnection(open_client(resolve_settings(None, ca=ca, decode=False)))) as connection,
    ):
        yield connection


def _ask(connection: FastConnection, call: ScriptCall[T]) -> T:
    return call.read(connection.run(call.script, call.keys, call.arguments))


def _decode(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
