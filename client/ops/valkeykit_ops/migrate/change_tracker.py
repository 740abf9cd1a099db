"""Tracking of changed keys at the source with keyspace notifications.

Notifications can get lost: the server disconnects a slow subscriber and does not repeat what it missed.
Then, and when there are more changes than fit into memory, all keys are compared again instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError
from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate.migration_server import MigrationServer, Primary
from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.pipelined import PipelinedConnection, pack

MAX_TRACKED_KEYS = 500_000
"""Changed keys that are kept in memory; beyond this number all keys are compared again."""

PING = pack("PING")

SETTING = "notify-keyspace-events"
REQUIRED_EVENTS = "AE"

POLL_INTERVAL_SECONDS = 0.2
"""Pause between two checks whether to stop."""

PING_INTERVAL_SECONDS = 5.0
"""Pause between two PINGs on a subscription without messages, whose connection may be lost unnoticed."""

SILENCE_SECONDS = 30.0
"""Time without any message, not even the reply to a PING, after which a subscription counts as lost."""


def enabled(server: MigrationServer) -> bool | None:
    """Whether every primary sends notifications of all changes; None if CONFIG GET is not permitted."""
    try:
        return all(set(REQUIRED_EVENTS) <= set(_setting(server, primary)) for primary in server.primaries())
    except RedisError:
        return None


def enable(server: MigrationServer) -> dict[str, str]:
    """Enable notifications; return the previous setting by node.

    Raises:
        ConfigurationError: The user or the service does not permit CONFIG SET.
        redis.RedisError: A primary is unreachable.
    """
    try:
        before = {primary.name: _setting(server, primary) for primary in server.primaries()}
        _set(server, lambda name: "".join(sorted(set(before.get(name, "")) | set(REQUIRED_EVENTS))))
    except ResponseError:
        raise ConfigurationError(
            f"the source does not permit CONFIG SET {SETTING}, which --notifications needs",
            fix=f"leave --notifications out, or set {SETTING} to AKE where the service is configured",
        ) from None
    return before


def restore(server: MigrationServer, before: dict[str, str]) -> None:
    """Restore the previous setting."""
    _set(server, lambda name: before.get(name, ""))


def _set(server: MigrationServer, value: Callable[[str], str]) -> None:
    for primary in server.primaries():
        server.command(primary.node, "CONFIG", "SET", SETTING, value(primary.name))


def _setting(server: MigrationServer, primary: Primary) -> str:
    return bytes(server.command(primary.node, "CONFIG", "GET", SETTING)[1]).decode()


class ChangeTracker:
    """Collects the names of changed keys, with one thread per primary, until it is closed.

    Args:
        enables: Whether to enable notifications again if the source stops sending them, for example after a restart.
    """

    def __init__(self, server: MigrationServer, scope: Scope, *, enables: bool = False) -> None:
        self._server = server
        self._scope = scope
        self._enables = enables
        self._guard = threading.Lock()
        self._keys: set[tuple[int, bytes]] = set()
        self._complete = True
        self._closing = threading.Event()
        self._layout = server.primaries()
        connections = [self._subscribe(primary) for primary in self._layout]
        self._threads = [
            threading.Thread(target=self._listen, args=(primary, connection), daemon=True)
            for primary, connection in zip(self._layout, connections, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def take(self) -> list[tuple[int, bytes]] | None:
        """Databases and keys that changed since the last call; None if some may be missing."""
        with self._guard:
            keys, self._keys = self._keys, set()
            complete, self._complete = self._complete, True
        if self._server.is_cluster and self._server.primaries() != self._layout:
            return None  # there is no subscription to a node that joined
        if enabled(self._server) is False:
            if self._enables:
                enable(self._server)
            return None
        return list(keys) if complete else None

    @property
    def waiting(self) -> int:
        """Number of changed keys that were not taken yet."""
        return len(self._keys)

    def close(self) -> None:
        """Stop the threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join(5)

    def _subscribe(self, primary: Primary) -> PipelinedConnection:
        connection = self._server.connect(primary.node)
        connection.request([pack("PSUBSCRIBE", "__keyevent@*__:*")])
        return connection

    def _listen(self, primary: Primary, connection: PipelinedConnection | None) -> None:
        last_message = pinged = time.monotonic()
        while not self._closing.is_set():
            try:
                if connection is None:
                    connection = self._subscribe(primary)
                    self.mark_incomplete()  # what changed until now was not received
                    last_message = time.monotonic()
                messages = connection.listen(POLL_INTERVAL_SECONDS)
                for message in messages:
                    if message[0] == b"pmessage":
                        self._note(message[2], message[3])
                now = time.monotonic()
                last_message = now if messages else last_message
                if now - last_message > SILENCE_SECONDS:
                    raise LateError("the subscription is silent")
                if now - max(last_message, pinged) > PING_INTERVAL_SECONDS:
                    connection.send(PING)
                    pinged = now
            except RedisError:
                if connection is not None:
                    connection.close()
                connection = None
                self.mark_incomplete()
                time.sleep(POLL_INTERVAL_SECONDS)
        if connection is not None:
            connection.close()

    def _note(self, channel: bytes, key: bytes) -> None:
        database = int(channel[len(b"__keyevent@") : channel.index(b"__:")])
        if not self._scope.includes(database) or not self._scope.takes(key):
            return
        with self._guard:
            if len(self._keys) < MAX_TRACKED_KEYS:
                self._keys.add((database, key))
            else:
                self._complete = False

    def mark_incomplete(self) -> None:
        """Some changes were missed."""
        with self._guard:
            self._complete = False
