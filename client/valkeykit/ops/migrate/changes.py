"""Which keys change at the source, by its keyspace notifications.

They may get lost: the server drops a listener that lags, and says nothing of what happened while
nobody listened. Then, and where there are more changes than fit into memory, everything is
compared anew instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from valkeykit.ops.migrate.options import Scope
from valkeykit.ops.migrate.server import Primary, Server
from valkeykit.ops.migrate.wire import Wire, pack

MOST = 500_000
"""Changed keys that are kept; beyond, everything is compared anew."""

SETTING = "notify-keyspace-events"
NEEDED = "AE"

TICK = 0.2
"""Seconds between two looks at whether to stop."""


def enabled(server: Server) -> bool | None:
    """Whether every primary tells of all changes; None where it may not be asked."""
    try:
        return all(set(NEEDED) <= set(_setting(server, primary)) for primary in server.primaries())
    except RedisError:
        return None


def enable(server: Server) -> dict[str, str]:
    """Switch notifications on; returns what was set before, by node.

    Raises:
        redis.RedisError: the user may not, or the service doesn't allow it.
    """
    before = {primary.name: _setting(server, primary) for primary in server.primaries()}
    _set(server, lambda name: "".join(sorted(set(before.get(name, "")) | set(NEEDED))))
    return before


def restore(server: Server, before: dict[str, str]) -> None:
    """Set what was set before."""
    _set(server, lambda name: before.get(name, ""))


def _set(server: Server, value: Callable[[str], str]) -> None:
    for primary in server.primaries():
        server.ask(primary.node, "CONFIG", "SET", SETTING, value(primary.name))


def _setting(server: Server, primary: Primary) -> str:
    return bytes(server.ask(primary.node, "CONFIG", "GET", SETTING)[1]).decode()


class Changes:
    """Collects the names of changed keys, in a thread for each primary, until it is closed."""

    def __init__(self, server: Server, scope: Scope) -> None:
        self._server = server
        self._scope = scope
        self._guard = threading.Lock()
        self._keys: set[tuple[int, bytes]] = set()
        self._complete = True
        self._closing = threading.Event()
        self._layout = server.primaries()
        wires = [self._subscribe(primary) for primary in self._layout]
        self._threads = [
            threading.Thread(target=self._listen, args=(primary, wire), daemon=True)
            for primary, wire in zip(self._layout, wires, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def take(self) -> list[tuple[int, bytes]] | None:
        """Databases and keys that changed since the last call; None where some may be missing."""
        with self._guard:
            keys, self._keys = self._keys, set()
            complete, self._complete = self._complete, True
        if self._server.is_cluster and self._server.primaries() != self._layout:
            return None  # a node that joined isn't listened to
        return list(keys) if complete else None

    @property
    def waiting(self) -> int:
        """Changed keys that weren't taken yet."""
        return len(self._keys)

    def close(self) -> None:
        """End the threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join(5)

    def _subscribe(self, primary: Primary) -> Wire:
        wire = self._server.wire(primary.node)
        wire.ask([pack("PSUBSCRIBE", "__keyevent@*__:*")])
        return wire

    def _listen(self, primary: Primary, wire: Wire | None) -> None:
        while not self._closing.is_set():
            try:
                wire = wire or self._subscribe(primary)
                for message in wire.listen(TICK):
                    self._note(message[2], message[3])
            except RedisError:
                if wire is not None:
                    wire.close()
                wire = None
                self.miss()
                time.sleep(TICK)
        if wire is not None:
            wire.close()

    def _note(self, channel: bytes, key: bytes) -> None:
        database = int(channel[len(b"__keyevent@") : channel.index(b"__:")])
        if not self._scope.includes(database):
            return
        with self._guard:
            if len(self._keys) < MOST:
                self._keys.add((database, key))
            else:
                self._complete = False

    def miss(self) -> None:
        """Some changes weren't seen."""
        with self._guard:
            self._complete = False
