"""Every node of a deployment: those that are named, and those that the servers name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from valkeykit.connection import mode_of, only, open_client
from valkeykit.settings import Settings
from valkeykit.url import Node

MOST_NODES = 32
"""More of a deployment aren't looked at."""


def at(settings: Settings, node: Node) -> Settings:
    """For a connection to one node, as the user of the whole."""
    address = replace(
        settings.address,
        host=node.host, port=node.port, topology="single", others=(), sentinels=(), service=None,
    )  # fmt: skip
    return replace(settings, topology="single", address=address)


def at_sentinel(settings: Settings, node: Node) -> Settings:
    """For a connection to one Sentinel, which may know other users."""
    user, password = settings.sentinel_credentials or (None, None)
    single = at(settings, node)
    address = replace(single.address, username=user, password=password, database=0)
    return replace(single, address=address, credentials=None)


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
    return _opened(at(settings, node))


def primary_of(settings: Settings, sentinel: Node) -> Node:
    """The primary that a Sentinel names.

    Raises:
        RedisError: it refuses. ConfigurationError: it watches none, or several and the URL names none.
    """
    client = _opened(at_sentinel(settings, sentinel))
    service = settings.address.service
    try:
        primaries: Any = client.sentinel_masters()
        found = primaries[service if service in primaries else only(primaries)]
        return Node(str(found["ip"]), int(found["port"]))
    finally:
        client.close()


def announced(node: Node, info: Mapping[str, Any], slots: Sequence[Any]) -> list[Node]:
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
    """CLUSTER SLOTS as the server gives it."""
    connection: Any = client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "SLOTS")
        return list(connection.read_response())
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)


def find(settings: Settings) -> list[Node]:
    """All nodes with data that can be found now, the named ones first.

    Raises:
        RedisError: none of them answers.
    """
    nodes = _named(settings)
    failure: RedisError | None = None
    for node in nodes:
        try:
            with client_of(settings, node) as client:
                info: Any = client.info()
                slots = slots_of(client) if mode_of(info) == "cluster" else []
        except RedisError as error:
            failure = error
            continue
        return list(dict.fromkeys([*nodes, *announced(node, info, slots)]))[:MOST_NODES]
    assert failure is not None  # noqa: S101  (a URL names at least one node)
    raise failure


def _named(settings: Settings) -> list[Node]:
    address = settings.address
    if address.topology != "sentinel" and not address.sentinels:
        return list(address.nodes)
    failure: RedisError | None = None
    for sentinel in address.sentinels or address.nodes:
        try:
            return [primary_of(settings, sentinel)]
        except RedisError as error:
            failure = error
    assert failure is not None  # noqa: S101  (a URL names at least one node)
    raise failure


def _opened(settings: Settings) -> Redis:
    client = open_client(settings)
    assert isinstance(client, Redis)  # noqa: S101  (the topology is single)
    return client


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
