"""Commands that change data without a keyspace notification, so that a change tracker does not see the change.

The list of events is https://valkey.io/topics/notifications, which mentions none of these commands.
tests/migrate/test_notifications.py runs every writing command of each server version and compares the result.
A cut-over compares all keys and all function libraries, so it copies what these commands changed.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from valkeykit_ops.migrate.migration_server import InspectedServer, MigrationServer, calls_of

SILENT_COMMANDS: dict[str, frozenset[str]] = {
    "stream": frozenset({"xack", "xackdel", "xautoclaim", "xclaim", "xreadgroup"}),
    "string": frozenset({"pfcount", "pfdebug"}),
}
"""By the type of the keys that they change: positions and pending entries of groups; the cached count of an HLL."""

SILENT_BEFORE_6_2 = frozenset({"migrate", "move", "persist", "restore", "restore-asking"})
"""Commands that older servers do not notify either, so notifications of these servers are not used."""

FIRST_COMPLETE = (6, 2)

FLUSHES = ("flushdb", "flushall", "swapdb")
"""Commands that change whole databases, without a notification for each key."""


def notifies_enough(server: MigrationServer) -> bool:
    """Whether notifications report every change but those of the commands in SILENT_COMMANDS."""
    return server.engine == "valkey" or server.release >= FIRST_COMPLETE


class GroupChanges:
    """Detects changes of consumer groups by the source's command statistics."""

    def __init__(self, server: InspectedServer) -> None:
        self._server = server
        self._calls = self._read()

    def take(self) -> bool:
        """Whether groups may have changed since the last call; True if the statistics are not permitted."""
        before, self._calls = self._calls, self._read()
        return self._calls is None or self._calls != before

    def _read(self) -> dict[str, int] | None:
        """Calls by node and process."""
        try:
            return {
                f"{primary.name} {self._server.info(primary.node, 'server')['run_id']}": sum(
                    number
                    for name, number in calls_of(self._server.info(primary.node, "commandstats")).items()
                    if name in SILENT_COMMANDS["stream"]
                )
                for primary in self._server.primaries()
            }
        except RedisError:
            return None
