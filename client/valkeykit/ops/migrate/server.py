"""One side of a migration: a single server, or the primaries of a cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError

from valkeykit import connection
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ConfigurationError
from valkeykit.ops.migrate.payload import Format
from valkeykit.ops.migrate.wire import Wire
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

SLOTS = 16384


@dataclass(frozen=True)
class Primary:
    """A node that holds data; `slots` are the cluster's, empty for a single server."""

    node: Node
    slots: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def name(self) -> str:
        return f"{self.node.host}:{self.node.port}"


class Server:
    """What is known of one side, and the way to its nodes."""

    def __init__(self, settings: ConnectionSettings, label: str = "") -> None:
        """Connect.

        label: a name to show instead of the address.

        Raises:
            ValkeykitError: nothing answers there, or it refused the login.
        """
        topology = settings.topology
        if topology in {"sentinel", "replicated"}:
            settings = _at_primary(settings)
        self.settings = settings
        self._label = label
        self._guard = threading.Lock()
        self._controls: dict[Node, Wire] = {}
        self._seed = Node(settings.address.host, settings.address.port)
        with translate_errors():
            with_info = self.info(self._seed, "server")
        mode = connection.mode_of(with_info)
        if mode == "sentinel":
            raise ConfigurationError(
                "the address is that of a Sentinel", fix="write it as valkey+sentinel://host:26379/primary-name"
            )
        self.is_cluster = mode == "cluster"
        self.engine = "valkey" if "valkey_version" in with_info else "redis"
        self.version = str(with_info.get("valkey_version") or with_info.get("redis_version"))
        self.format = Format.of(self.engine, self.release)

    def __repr__(self) -> str:
        return f"<Server {self.name}>"

    @property
    def name(self) -> str:
        """Where it is, without user and password."""
        hosts = self._label or ",".join(f"{node.host}:{node.port}" for node in self.settings.address.nodes)
        return f"{self.engine} {self.version} {'from' if self._label else 'at'} {hosts}"

    @property
    def place(self) -> list[str]:
        """Where it is, so that a later run can tell it from another one."""
        return (
            [self._label] if self._label else sorted(f"{node.host}:{node.port}" for node in self.settings.address.nodes)
        )

    @property
    def release(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())

    @property
    def has_absolute_ttl(self) -> bool:
        """PEXPIRETIME; older ones only know how much is left."""
        return self.engine == "valkey" or self.release >= (7,)

    @property
    def has_field_ttl(self) -> bool:
        """TTLs of a hash's fields."""
        return self.release >= ((9,) if self.engine == "valkey" else (7, 4))

    @property
    def has_functions(self) -> bool:
        return self.engine == "valkey" or self.release >= (7,)

    def wire(self, node: Node, database: int = 0) -> Wire:
        """A new connection to one of the nodes."""
        return Wire(self.settings, node, database)

    def ask(self, node: Node, *words: str | int) -> Any:
        """A command's answer, over the one connection to a node that is kept for such questions.

        Raises:
            redis.RedisError: the node can't be reached, or refuses.
        """
        with self._guard:
            kept = self._controls.pop(node, None)
            if kept is not None:
                try:
                    return self._over(kept, words)
                except (BrokenError, LateError):  # it had ended meanwhile
                    pass
            return self._over(self.wire(node), words)

    def _over(self, wire: Wire, words: tuple[str | int, ...]) -> Any:
        try:
            answer = wire.call(*words)
        except ResponseError:
            self._controls[wire.node] = wire
            raise
        except RedisError:
            wire.close()
            raise
        self._controls[wire.node] = wire
        return answer

    def close(self) -> None:
        """Close the connections that are kept for questions."""
        with self._guard:
            for wire in self._controls.values():
                wire.close()
            self._controls.clear()

    def info(self, node: Node, *sections: str) -> dict[str, str]:
        """INFO of a node, as text."""
        return parse_info(self.lines(node, *sections))

    def lines(self, node: Node, *sections: str) -> list[str]:
        """As info, for sections that name a thing several times."""
        text = [self.ask(node, "INFO", section).decode(errors="replace") for section in sections]
        return [line for part in text for line in part.splitlines()]

    def primaries(self) -> list[Primary]:
        """The nodes that hold data, as the cluster has it now.

        Raises:
            redis.RedisError: no node answers.
        """
        if not self.is_cluster:
            return [Primary(self._seed)]
        return connection.first_answer(self.settings.address.nodes, self._layout)

    def _layout(self, node: Node) -> list[Primary]:
        ranges = self.ask(node, "CLUSTER", "SLOTS")
        slots: dict[Node, set[int]] = {}
        for first, last, primary, *_ in ranges:
            host = primary[0].decode() if primary[0] else node.host
            slots.setdefault(Node(host, primary[1]), set()).update(range(first, last + 1))
        found = [Primary(place, frozenset(held)) for place, held in slots.items()]
        return sorted(found, key=lambda primary: primary.name)

    def is_moving(self) -> bool:
        """Whether a slot is on its way from one node to another."""
        if not self.is_cluster:
            return False
        for primary in self.primaries():
            nodes = self.ask(primary.node, "CLUSTER", "NODES").decode()
            if any("[" in line.partition(" connected")[2] for line in nodes.splitlines()):
                return True
        return False

    def databases(self) -> list[int]:
        """Those that hold keys."""
        held = {
            int(name[2:])
            for primary in self.primaries()
            for name in self.info(primary.node, "keyspace")
            if name.startswith("db") and name[2:].isdigit()
        }
        return sorted(held)

    def sizes(self) -> dict[int, int]:
        """Keys of each database that has some."""
        found: dict[int, int] = {}
        for primary in self.primaries():
            for name, value in self.info(primary.node, "keyspace").items():
                if name.startswith("db") and name[2:].isdigit():
                    number = int(name[2:])
                    found[number] = found.get(number, 0) + int(fields_of(value)["keys"])
        return found


def parse_info(lines: Iterable[str]) -> dict[str, str]:
    """The lines of INFO."""
    return dict(line.split(":", 1) for line in lines if ":" in line)


def fields_of(value: str) -> dict[str, str]:
    """`keys=5,expires=0` as a dictionary."""
    return dict(part.split("=", 1) for part in value.split(",") if "=" in part)


def _at_primary(settings: ConnectionSettings) -> ConnectionSettings:
    """The same settings for the node that is the primary now."""
    client: Any = connection.open_client(settings)
    try:
        host, port = client.connection_pool.get_master_address()
    finally:
        client.close()
    address = replace(settings.address, host=host, port=int(port), topology="single", service=None, fallback_nodes=())
    return replace(settings, address=address, topology="single")


def same(one: Server, other: Server) -> bool:
    """Whether both sides share a node: the ids of their processes tell, whatever the addresses."""
    return bool(_run_ids(one) & _run_ids(other))


def _run_ids(server: Server) -> set[str]:
    return {server.info(primary.node, "server")["run_id"] for primary in server.primaries()}
