"""Who uses a server, and with what: the start of a migration's check list, and its last item."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from valkeykit.errors import RefusedError
from valkeykit.ops.migrate.server import Server, fields_of

OURS = frozenset({"info", "command", "client", "cluster", "hello", "auth", "select", "ping", "replconf", "psync"})
"""Commands that say nothing of an application."""

KINDS = ("normal", "pubsub")
"""Of connections: a replica's isn't an application's."""


@dataclass(frozen=True)
class Connection:
    """Connections that look alike: from one host, by one user, under one name, with one library."""

    host: str
    user: str
    name: str
    library: str
    database: int


@dataclass
class Survey:
    """What a server says of its use.

    connections: how many of each kind.
    commands: calls since the server's start, or within the time that was watched.
    unknown: commands in use that the other server doesn't know.
    """

    server: str
    databases: dict[int, int]
    connections: dict[Connection, int] = field(default_factory=dict)
    commands: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_idle(self) -> bool:
        """Nobody is connected, and nothing was run while it was watched."""
        return not self.connections and not self.commands

    def record(self) -> dict[str, Any]:
        """Plain values."""
        rows = [asdict(one) | {"connections": number} for one, number in self.connections.items()]
        return vars(self) | {"connections": rows, "idle": self.is_idle}


def take(server: Server, other: Server | None, *, seconds: float = 0.0) -> Survey:
    """Look at a server's clients and commands.

    other: the server that shall take over; which commands it doesn't know is told then.
    seconds: watch for so long; 0 to count since the server's start.

    Raises:
        redis.RedisError: the user may not ask.
    """
    before = _commands(server) if seconds else {}
    time.sleep(seconds)
    after = _commands(server)
    calls = {name: number - before.get(name, 0) for name, number in after.items() if number > before.get(name, 0)}
    found = Survey(server.name, server.sizes(), _connections(server), calls, seconds=seconds)
    if other is not None:
        found.unknown = _unknown(other, found.commands)
    return found


def _commands(server: Server) -> dict[str, int]:
    found: dict[str, int] = {}
    for primary in server.primaries():
        stats = server.info(primary.node, "commandstats")
        if not stats:
            raise RefusedError("the server keeps no command statistics", fix="ask its operator for them")
        for name, value in stats.items():
            command = name.removeprefix("cmdstat_").lower()
            if command.partition("|")[0] not in OURS:
                found[command] = found.get(command, 0) + int(fields_of(value).get("calls", 0))
    return dict(sorted(found.items(), key=lambda row: -row[1]))


def _connections(server: Server) -> dict[Connection, int]:
    found: dict[Connection, int] = {}
    for primary in server.primaries():
        own = server.ask(primary.node, "CLIENT", "ID")
        lists = [bytes(server.ask(primary.node, "CLIENT", "LIST", "TYPE", kind)).decode() for kind in KINDS]
        rows = [_words(line) for text in lists for line in text.splitlines()]
        for row in rows:
            if row.get("id") == str(own):
                continue
            library = f"{row.get('lib-name', '')} {row.get('lib-ver', '')}".strip()
            host = row.get("addr", "").rpartition(":")[0]
            kind = Connection(host, row.get("user", ""), row.get("name", ""), library, int(row.get("db", 0)))
            found[kind] = found.get(kind, 0) + 1
    return found


def _words(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split(" ") if "=" in word)


def _unknown(server: Server, commands: dict[str, int]) -> list[str]:
    names = sorted({name.partition("|")[0] for name in commands})
    if not names:
        return []
    rows = server.ask(server.primaries()[0].node, "COMMAND", "INFO", *names)
    return [name for name, row in zip(names, rows, strict=True) if not row]
