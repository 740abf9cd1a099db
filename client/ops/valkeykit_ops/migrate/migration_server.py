"""A server of a migration: a single server, or the primaries of a cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError
from valkeykit.connection import first_answer, mode_of, open_client
from valkeykit.errors import ConfigurationError, TlsError, UnreachableError
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node
from valkeykit.version_numbers import Version, parse_version
from valkeykit.vocabulary import MigrationRole

from valkeykit_ops.migrate.failures import naming_endpoint, translating_errors
from valkeykit_ops.migrate.payload import Format
from valkeykit_ops.migrate.pipelined import EndedError, PipelinedConnection, pack

SHORTEST_WAIT_SECONDS = 5.0
"""Time for which any server may be busy with another client's command."""

NO_TOUCH = pack("CLIENT", "NO-TOUCH", "ON")
"""Reading a key on this connection does not count as its use (Redis 7.2, Valkey)."""


@dataclass(frozen=True)
class Primary:
    """A node that holds data; `slots` are the cluster's, empty for a single server."""

    node: Node
    slots: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def name(self) -> str:
        return f"{self.node.host}:{self.node.port}"


class InspectedServer(Protocol):
    """A server whose statistics are read."""

    def primaries(self) -> list[Primary]:
        """The current primaries."""

    def sizes(self) -> dict[int, int]:
        """Number of keys of each database that has any."""

    def info(self, node: Node, /, *sections: str) -> dict[str, str]:
        """INFO of a node, as text."""

    def command(self, node: Node, /, *words: str | int) -> Any:
        """The reply to a command."""


class MigrationServer:
    """The source or the target of a migration."""

    def __init__(self, settings: ConnectionSettings, label: str = "", *, role: MigrationRole | None = None) -> None:
        """Connect.

        Args:
            label: Name shown instead of the address.
            role: `source` or `target`, which errors name.

        Raises:
            ValkeykitError: The server is unreachable or rejected the login.
        """
        self._role = role
        self.avoids_touching = False
        self._given = settings.address
        topology = settings.topology
        if topology in {"sentinel", "replicated"}:
            with translating_errors(), naming_endpoint(role, settings.address.host):
                settings = _at_primary(settings)
        self.settings = settings
        self._label = label
        self._guard = threading.Lock()
        self._controls: dict[Node, PipelinedConnection] = {}
        self._seed = Node(settings.address.host, settings.address.port)
        with translating_errors():
            with_info = self._greet()
        mode = mode_of(with_info)
        if mode == "sentinel":
            raise ConfigurationError(
                "the URL is the address of a Sentinel", fix="use valkey+sentinel://host:26379/primary-name"
            )
        self.is_cluster = mode == "cluster"
        self.engine = "valkey" if "valkey_version" in with_info else "redis"
        self.version = str(with_info.get("valkey_version") or with_info.get("redis_version"))
        self.format = Format.of(self.engine, self.release)
        self.avoids_touching = self.release >= (7, 2)

    def __repr__(self) -> str:
        return f"<MigrationServer {self.name}>"

    @property
    def name(self) -> str:
        """Engine, version and address, without user and password."""
        hosts = self._label or ",".join(f"{node.host}:{node.port}" for node in self.settings.address.nodes)
        return f"{self.engine} {self.version} {'from' if self._label else 'at'} {hosts}"

    @property
    def location(self) -> list[str]:
        """Addresses that identify the server in a later run, also after a failover."""
        if self._label:
            return [self._label]
        service = [self._given.service] if self._given.service else []
        return [*sorted(f"{node.host}:{node.port}" for node in self._given.nodes), *service]

    @property
    def is_file(self) -> bool:
        """Whether its data come from a file, which no client writes to."""
        return bool(self._label)

    @property
    def release(self) -> Version:
        return parse_version(self.version)

    @property
    def has_absolute_ttl(self) -> bool:
        """Whether PEXPIRETIME is supported; older servers only report the remaining time."""
        return self.engine == "valkey" or self.release >= (7,)

    @property
    def has_field_ttl(self) -> bool:
        """Whether TTLs of hash fields are supported."""
        return self.release >= ((9,) if self.engine == "valkey" else (7, 4))

    @property
    def has_functions(self) -> bool:
        return self.engine == "valkey" or self.release >= (7,)

    def limit_waiting(self, seconds: float) -> None:
        """Count the server as unreachable if it does not respond for this time, at least for SHORTEST_WAIT_SECONDS."""
        limit = max(SHORTEST_WAIT_SECONDS, min(self.settings.read_timeout, seconds))
        self.settings = replace(self.settings, read_timeout=limit)

    def connect(self, node: Node, database: int = 0) -> PipelinedConnection:
        """Open a connection to a node."""
        connection = PipelinedConnection(self.settings, node, database, self._role)
        if self.avoids_touching:
            connection.request([NO_TOUCH])  # a user who may not run it touches the keys
        return connection

    def command(self, node: Node, *words: str | int) -> Any:
        """The reply to a command, over a connection that is kept open per node.

        Raises:
            redis.RedisError: The node is unreachable or rejects the command.
        """
        with self._guard:
            kept = self._controls.pop(node, None)
            if kept is not None:
                try:
                    return self._over(kept, words)
                except (BrokenError, LateError):  # it was closed in the meantime
                    pass
            return self._over(self.connect(node), words)

    def _greet(self) -> dict[str, str]:
        """INFO of the first node."""
        try:
            return self.info(self._seed, "server")
        except EndedError:
            name = f"{self._role or ''} {self._seed.host}:{self._seed.port}".strip()
            if self.settings.address.tls:
                options = f" with --{self._role}-cert and --{self._role}-key" if self._role else ""
                raise TlsError(
                    f"{name}: the server ended the TLS connection; most often it requires a client certificate, "
                    "or does not trust this one",
                    fix=f"pass one that the server's tls-ca-cert-file has signed{options}",
                ) from None
            raise UnreachableError(
                f"{name}: the server ended the connection instead of answering INFO",
                fix="if the port uses TLS, use rediss://; "
                "if it is a proxy such as twemproxy, use the address of the server behind it",
            ) from None

    def _over(self, connection: PipelinedConnection, words: tuple[str | int, ...]) -> Any:
        try:
            answer = connection.call(*words)
        except ResponseError:
            self._controls[connection.node] = connection
            raise
        except RedisError:
            connection.close()
            raise
        self._controls[connection.node] = connection
        return answer

    def close(self) -> None:
        """Close the connections that are kept open."""
        with self._guard:
            for connection in self._controls.values():
                connection.close()
            self._controls.clear()

    def info(self, node: Node, *sections: str) -> dict[str, str]:
        """INFO of a node, as text."""
        return parse_info(self.lines(node, *sections))

    def lines(self, node: Node, *sections: str) -> list[str]:
        """Like info, for sections with repeated names."""
        text = [self.command(node, "INFO", section).decode(errors="replace") for section in sections]
        return [line for part in text for line in part.splitlines()]

    def primaries(self) -> list[Primary]:
        """The current primaries.

        Raises:
            redis.RedisError: No node responds.
        """
        if not self.is_cluster:
            return [Primary(self._seed)]
        return first_answer(self.settings.address.nodes, self._layout)

    def _layout(self, node: Node) -> list[Primary]:
        ranges = self.command(node, "CLUSTER", "SLOTS")
        slots: dict[Node, set[int]] = {}
        for first, last, primary, *_ in ranges:
            host = primary[0].decode() if primary[0] else node.host
            slots.setdefault(Node(host, primary[1]), set()).update(range(first, last + 1))
        result = [Primary(location, frozenset(held)) for location, held in slots.items()]
        return sorted(result, key=lambda primary: primary.name)

    def is_moving(self) -> bool:
        """Whether a slot migration is in progress."""
        if not self.is_cluster:
            return False
        for primary in self.primaries():
            nodes = self.command(primary.node, "CLUSTER", "NODES").decode()
            if any("[" in line.partition(" connected")[2] for line in nodes.splitlines()):
                return True
        return False

    def databases(self) -> list[int]:
        """The databases that have keys."""
        held = {
            int(name[2:])
            for primary in self.primaries()
            for name in self.info(primary.node, "keyspace")
            if name.startswith("db") and name[2:].isdigit()
        }
        return sorted(held)

    def evicted_keys(self) -> int:
        """Number of keys that were evicted since the servers' start."""
        return sum(int(self.info(primary.node, "stats").get("evicted_keys", 0)) for primary in self.primaries())

    def sizes(self) -> dict[int, int]:
        """Number of keys of each database that has any."""
        result: dict[int, int] = {}
        for primary in self.primaries():
            for name, value in self.info(primary.node, "keyspace").items():
                if name.startswith("db") and name[2:].isdigit():
                    number = int(name[2:])
                    result[number] = result.get(number, 0) + int(fields_of(value)["keys"])
        return result


def parse_info(lines: Iterable[str]) -> dict[str, str]:
    """Parse the lines of INFO."""
    return dict(line.split(":", 1) for line in lines if ":" in line)


def calls_of(info: dict[str, str]) -> dict[str, int]:
    """Calls by command, from INFO commandstats; those of sub-commands count for the command."""
    calls: dict[str, int] = {}
    for name, value in info.items():
        if name.startswith("cmdstat_"):
            command = name.removeprefix("cmdstat_").partition("|")[0].lower()
            calls[command] = calls.get(command, 0) + int(fields_of(value).get("calls", 0))
    return calls


def fields_of(value: str) -> dict[str, str]:
    """Parse `keys=5,expires=0` into a dictionary."""
    return dict(part.split("=", 1) for part in value.split(",") if "=" in part)


def _at_primary(settings: ConnectionSettings) -> ConnectionSettings:
    """The same settings for the current primary."""
    client: Any = open_client(settings)
    try:
        host, port = client.connection_pool.get_master_address()
    finally:
        client.close()
    address = replace(settings.address, host=host, port=int(port), topology="single", service=None, fallback_nodes=())
    return replace(settings, address=address, topology="single")


def is_same_server(one: MigrationServer, other: MigrationServer) -> bool:
    """Whether both servers share a node, by the run ids of their processes."""
    return bool(_run_ids(one) & _run_ids(other))


def _run_ids(server: MigrationServer) -> set[str]:
    return {server.info(primary.node, "server")["run_id"] for primary in server.primaries()}
