"""Survey of a server: its clients and the commands they use."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from valkeykit.errors import RefusedError

from valkeykit_ops.migrate.migration_server import MigrationServer, fields_of

IGNORED_COMMANDS = frozenset(
    {"info", "command", "client", "cluster", "hello", "auth", "select", "ping", "replconf", "psync", "role"}
)
"""Commands that do not show an application's use."""

SENTINEL_PREFIX = "sentinel-"
"""Prefix of the names of Sentinels' connections."""

CLIENT_TYPES = ("normal", "pubsub")
"""Types of connections that applications have."""


@dataclass(frozen=True)
class ClientGroup:
    """Connections with the same host, user, name and library."""

    host: str
    user: str
    name: str
    library: str
    database: int


@dataclass
class Survey:
    """The use of a server.

    Attributes:
        connections: Number of connections per group.
        commands: Calls since the server's start, or during the observation.
        unknown: Commands in use that the other server does not support.
    """

    server: str
    databases: dict[int, int]
    connections: dict[ClientGroup, int] = field(default_factory=dict)
    commands: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether no client was connected and no command ran."""
        return not self.connections and not self.commands

    def record(self) -> dict[str, Any]:
        """Plain values."""
        rows = [asdict(one) | {"connections": number} for one, number in self.connections.items()]
        return vars(self) | {"connections": rows, "idle": self.is_idle}


def take(server: MigrationServer, other: MigrationServer | None, *, seconds: float = 0.0) -> Survey:
    """Survey a server's clients and commands.

    Args:
        other: The future server; unsupported commands are reported.
        seconds: Duration of the observation; 0 to count since the server's start.

    Raises:
        redis.RedisError: The user is not permitted to query it.
    """
    ignored = {"publish"} if _has_sentinels(server) else set()  # they announce themselves every two seconds
    before = _commands(server) if seconds else {}
    time.sleep(seconds)
    after = {name: number for name, number in _commands(server).items() if name not in ignored}
    calls = {name: number - before.get(name, 0) for name, number in after.items() if number > before.get(name, 0)}
    result = Survey(server.name, server.sizes(), _connections(server), calls, seconds=seconds)
    if other is not None:
        result.unknown = _unknown(other, result.commands)
    return result


def _commands(server: MigrationServer) -> dict[str, int]:
    result: dict[str, int] = {}
    for primary in server.primaries():
        stats = server.info(primary.node, "commandstats")
        if not stats:
            raise RefusedError("the server has no command statistics", fix="ask its operator for them")
        for name, value in stats.items():
            command = name.removeprefix("cmdstat_").lower()
            if command.partition("|")[0] not in IGNORED_COMMANDS:
                result[command] = result.get(command, 0) + int(fields_of(value).get("calls", 0))
    return dict(sorted(result.items(), key=lambda row: -row[1]))


def _connections(server: MigrationServer) -> dict[ClientGroup, int]:
    result: dict[ClientGroup, int] = {}
    for primary in server.primaries():
        own = server.command(primary.node, "CLIENT", "ID")
        lists = [bytes(server.command(primary.node, "CLIENT", "LIST", "TYPE", kind)).decode() for kind in CLIENT_TYPES]
        rows = [_words(line) for text in lists for line in text.splitlines()]
        for row in rows:
            if row.get("id") == str(own):
                continue
            library = f"{row.get('lib-name', '')} {row.get('lib-ver', '')}".strip()
            if row.get("name", "").startswith(SENTINEL_PREFIX):
                continue
            host = row.get("addr", "").rpartition(":")[0]
            kind = ClientGroup(host, row.get("user", ""), row.get("name", ""), library, int(row.get("db", 0)))
            result[kind] = result.get(kind, 0) + 1
    return result


def _has_sentinels(server: MigrationServer) -> bool:
    texts = [bytes(server.command(primary.node, "CLIENT", "LIST")).decode() for primary in server.primaries()]
    return any(f" name={SENTINEL_PREFIX}" in text for text in texts)


def _words(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split(" ") if "=" in word)


def _unknown(server: MigrationServer, commands: dict[str, int]) -> list[str]:
    names = sorted({name.partition("|")[0] for name in commands})
    if not names:
        return []
    rows = server.command(server.primaries()[0].node, "COMMAND", "INFO", *names)
    return [name for name, row in zip(names, rows, strict=True) if not row]
