"""Nodes of a deployment: those of the URL, and those that the servers announce."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from valkeykit.connection import first_answer, mode_of, only, open_client
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops.cluster_nodes import ClusterMember, parse_members

MAX_NODES = 32
"""Maximum number of nodes that are examined."""


def settings_at(settings: ConnectionSettings, node: Node) -> ConnectionSettings:
    """Settings for a connection to one node, with the same user."""
    return replace(settings, topology="single", address=settings.address.at(node))


@contextmanager
def client_of(settings: ConnectionSettings, node: Node) -> Iterator[Redis]:
    """A client of one node."""
    client = client_at(settings, node)
    try:
        yield client
    finally:
        client.close()


def client_at(settings: ConnectionSettings, node: Node) -> Redis:
    """A client of one node; the caller closes it."""
    return _open(settings_at(settings, node))


def primary_of(settings: ConnectionSettings, sentinel: Node) -> Node:
    """The primary that a Sentinel reports.

    Raises:
        RedisError: It rejects the query.
        ConfigurationError: It monitors no primary, or several and the URL names none.
    """
    with _sentinel(settings, sentinel) as (_, primary):
        return Node(str(primary["ip"]), int(primary["port"]))


def quorum_error(settings: ConnectionSettings, sentinel: Node) -> str:
    """Why the Sentinels cannot fail over, as a Sentinel reports it; empty if they can, or if it is not permitted.

    Raises:
        As primary_of.
    """
    with _sentinel(settings, sentinel) as (client, primary):
        answer = run_raw(client, "SENTINEL", "CKQUORUM", str(primary["name"]))
    is_lost = isinstance(answer, ResponseError) and "NOQUORUM" in str(answer)
    return str(answer).removeprefix("NOQUORUM ") if is_lost else ""


@contextmanager
def _sentinel(settings: ConnectionSettings, sentinel: Node) -> Iterator[tuple[Redis, Mapping[str, Any]]]:
    """A client of a Sentinel, and the state of the URL's primary."""
    client = _open(settings.at_sentinel(sentinel))
    service = settings.address.service
    try:
        primaries: Any = client.sentinel_masters()
        yield client, primaries[service if service in primaries else only(primaries)]
    finally:
        client.close()


def announced_nodes(
    node: Node, info: Mapping[str, Any], slots: Sequence[Any], members: Sequence[ClusterMember] = ()
) -> list[Node]:
    """The nodes that a server announces: the members of a cluster, or a primary's replicas.

    CLUSTER SLOTS has the addresses that clients use, but leaves out failed nodes.
    """
    if mode_of(info) == "cluster":
        entries = [entry for row in slots for entry in row[2:]]
        served = {_text(entry[2]) for entry in entries if len(entry) > 2}
        nodes = [Node(_text(entry[0]) or node.host, int(entry[1])) for entry in entries]
        return list(dict.fromkeys([*nodes, *(one.node for one in members if one.identity not in served)]))
    return [Node(str(one.get("ip")), int(one.get("port", 0))) for one in replicas_of(info) if one.get("ip")]


def replicas_of(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A primary's replicas, from INFO replication."""
    return [
        value for key, value in info.items()
        if key.startswith("slave") and key[5:].isdigit() and isinstance(value, dict)
    ]  # fmt: skip


def slots_of(client: Redis) -> list[Any]:
    """The raw reply to CLUSTER SLOTS.

    Raises:
        ResponseError: The command is not permitted.
    """
    answer = run_raw(client, "CLUSTER", "SLOTS")
    if isinstance(answer, ResponseError):
        raise answer
    return list(answer)


def members_of(client: Redis, node: Node) -> list[ClusterMember]:
    """The members of a cluster; empty if CLUSTER NODES is not permitted."""
    answer = run_raw(client, "CLUSTER", "NODES")
    return [] if isinstance(answer, ResponseError) else parse_members(answer, node)


def run_raw(client: Redis, *command: str) -> Any:
    """The raw reply to a command; errors are returned, not raised."""
    return run_batch(client, [command])[0]


def run_batch(client: Redis, commands: Sequence[tuple[str, ...]]) -> list[Any]:
    """The raw replies to several commands in one round trip; errors are returned, not raised."""
    connection: Any = client.connection_pool.get_connection()
    try:
        return request(connection, commands)
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)


def request(connection: Any, commands: Sequence[tuple[str, ...]]) -> list[Any]:
    """Like run_batch, over a given connection."""
    connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies


def find_nodes(settings: ConnectionSettings) -> list[Node]:
    """All data nodes that are found, those of the URL first.

    Raises:
        RedisError: No node responds.
    """
    nodes = configured_nodes(settings)
    return list(dict.fromkeys([*nodes, *first_answer(nodes, lambda node: _announced_by(settings, node))]))[:MAX_NODES]


def _announced_by(settings: ConnectionSettings, node: Node) -> list[Node]:
    with client_of(settings, node) as client:
        info: Any = client.info()
        if mode_of(info) != "cluster":
            return announced_nodes(node, info, [])
        return announced_nodes(node, info, slots_of(client), members_of(client, node))


def configured_nodes(settings: ConnectionSettings) -> list[Node]:
    """The nodes of the URL; with Sentinels, the primary that they report.

    Raises:
        RedisError: No Sentinel responds.
        ConfigurationError: The Sentinels report no primary.
    """
    address = settings.address
    if address.topology != "sentinel" and not address.sentinels:
        return list(address.nodes)
    return [first_answer(address.sentinels or address.nodes, lambda sentinel: primary_of(settings, sentinel))]


def _open(settings: ConnectionSettings) -> Redis:
    client = open_client(settings)
    assert isinstance(client, Redis)  # noqa: S101  (the topology is single)
    return client


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
