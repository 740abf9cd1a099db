"""Every node of a deployment: those that are named, and those that the servers name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from valkeykit.connection import first_answer, mode_of, only, open_client
from valkeykit.settings import Settings
from valkeykit.url import Node

MAX_NODES = 32
"""More of a deployment aren't looked at."""


def settings_at(settings: Settings, node: Node) -> Settings:
    """For a connection to one node, as the user of the whole."""
    return replace(settings, topology="single", address=settings.address.at(node))


@contextmanager
def client_of(settings: Settings, node: Node) -> Iterator[Redis]:
    """A client of one node."""
    client = client_at(settings, node)
    try:
        yield client
    finally:
        client.close()


def client_at(settings: Settings, node: Node) -> Redis:
    """A client of one node, to be closed by the caller."""
    return _open(settings_at(settings, node))


def primary_of(settings: Settings, sentinel: Node) -> Node:
    """The primary that a Sentinel names.

    Raises:
        RedisError: it refuses. ConfigurationError: it watches none, or several and the URL names none.
    """
    client = _open(settings.at_sentinel(sentinel))
    service = settings.address.service
    try:
        primaries: Any = client.sentinel_masters()
        found = primaries[service if service in primaries else only(primaries)]
        return Node(str(found["ip"]), int(found["port"]))
    finally:
        client.close()


def announced_nodes(node: Node, info: Mapping[str, Any], slots: Sequence[Any]) -> list[Node]:
    """The nodes that a server sends its clients to: a cluster's, by CLUSTER SLOTS, or a primary's replicas."""
    if mode_of(info) == "cluster":
        nodes = [Node(_text(entry[0]) or node.host, int(entry[1])) for row in slots for entry in row[2:]]
        return list(dict.fromkeys(nodes))
    return [Node(str(one.get("ip")), int(one.get("port", 0))) for one in replicas_of(info) if one.get("ip")]


def replicas_of(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A primary's replicas, as INFO replication has them."""
    return [
        value for key, value in info.items()
        if key.startswith("slave") and key[5:].isdigit() and isinstance(value, dict)
    ]  # fmt: skip


def slots_of(client: Redis) -> list[Any]:
    """CLUSTER SLOTS as the server gives it.

    Raises:
        ResponseError: the user may not ask.
    """
    answer = run_raw(client, "CLUSTER", "SLOTS")
    if isinstance(answer, ResponseError):
        raise answer
    return list(answer)


def run_raw(client: Redis, *command: str) -> Any:
    """The answer as the server gives it, in whichever protocol; a refusal as a value."""
    return run_batch(client, [command])[0]


def run_batch(client: Redis, commands: Sequence[tuple[str, ...]]) -> list[Any]:
    """The answers to several commands in one round trip, as the server gives them; refusals as values."""
    connection: Any = client.connection_pool.get_connection()
    try:
        return request(connection, commands)
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)


def request(connection: Any, lines: Sequence[tuple[str, ...]]) -> list[Any]:
    """All at once over one connection; refusals as values."""
    connection.send_packed_command(connection.pack_commands(lines))
    replies: list[Any] = []
    for _ in lines:
        try:
            replies.append(connection.read_response())
        except ResponseError as refusal:
            replies.append(refusal)
    return replies


def find_nodes(settings: Settings) -> list[Node]:
    """All nodes with data that can be found now, the named ones first.

    Raises:
        RedisError: none of them answers.
    """
    nodes = _configured_nodes(settings)
    return list(dict.fromkeys([*nodes, *first_answer(nodes, lambda node: _announced_by(settings, node))]))[:MAX_NODES]


def _announced_by(settings: Settings, node: Node) -> list[Node]:
    with client_of(settings, node) as client:
        info: Any = client.info()
        return announced_nodes(node, info, slots_of(client) if mode_of(info) == "cluster" else [])


def _configured_nodes(settings: Settings) -> list[Node]:
    address = settings.address
    if address.topology != "sentinel" and not address.sentinels:
        return list(address.nodes)
    return [first_answer(address.sentinels or address.nodes, lambda sentinel: primary_of(settings, sentinel))]


def _open(settings: Settings) -> Redis:
    client = open_client(settings)
    assert isinstance(client, Redis)  # noqa: S101  (the topology is single)
    return client


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
