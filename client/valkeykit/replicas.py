"""Primary discovery: the node that reports the role and has replicas.

A primary that comes back after a failover reports the role too, for a moment, but has no replicas.

Both finders answer the two questions that redis-py's Sentinel pools ask on each
connect, so that a pool follows a failover made by whoever runs the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis
import redis.asyncio
from redis.exceptions import RedisError

from valkeykit.url import Node

if TYPE_CHECKING:
    from valkeykit.vocabulary import Role

HostPort = tuple[str, int]
T = TypeVar("T")
Queries = Generator[Node, Any, T]
"""Yields a node to ask, and is sent its INFO replication, or the error instead."""


class PrimaryFinder:
    """Asks each node for its role over a short-lived connection."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    def discover_master(self, service: str) -> HostPort:
        """The primary's host and port.

        Raises:
            redis.sentinel.MasterNotFoundError: no node says that it is one.
        """
        return self._take(_primary(service, self._nodes))

    def discover_slaves(self, service: str) -> list[HostPort]:  # noqa: ARG002  (redis-py's interface)
        """The replicas that answer."""
        return self._take(_replicas(self._nodes))

    def _take(self, queries: Queries[T]) -> T:
        answer = None
        while True:
            try:
                node = queries.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = self._info(node)

    def _info(self, node: Node) -> Any:
        client = self._client(node)
        try:
            return client.info("replication")
        except RedisError as error:
            return error
        finally:
            client.close()


class AsyncPrimaryFinder:
    """PrimaryFinder for asyncio."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.asyncio.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    async def discover_master(self, service: str) -> HostPort:
        """As PrimaryFinder.discover_master."""
        return await self._take(_primary(service, self._nodes))

    async def discover_slaves(self, service: str) -> list[HostPort]:  # noqa: ARG002  (redis-py's interface)
        """As PrimaryFinder.discover_slaves."""
        return await self._take(_replicas(self._nodes))

    async def _take(self, queries: Queries[T]) -> T:
        answer = None
        while True:
            try:
                node = queries.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = await self._info(node)

    async def _info(self, node: Node) -> Any:
        client = self._client(node)
        try:
            return await client.info("replication")
        except RedisError as error:
            return error
        finally:
            await client.aclose()


def _primary(service: str, nodes: tuple[Node, ...]) -> Queries[HostPort]:
    failure: RedisError | None = None
    alone: Node | None = None
    for node in nodes:
        answer = yield node
        if isinstance(answer, RedisError):
            failure = answer
        elif _leads(answer):
            return node.host, node.port
        elif _role(answer) == "master":
            alone = alone or node
    if alone:
        return alone.host, alone.port
    raise _not_found(service, failure)


def _replicas(nodes: tuple[Node, ...]) -> Queries[list[HostPort]]:
    found = []
    for node in nodes:
        answer = yield node
        if not isinstance(answer, RedisError) and _role(answer) == "slave":
            found.append((node.host, node.port))
    return found


def _leads(info: Any) -> bool:
    return _role(info) == "master" and int(info["connected_slaves"]) > 0


def _role(info: Any) -> Role:
    return cast("Role", str(info["role"]))


def _not_found(service: str, failure: RedisError | None) -> RedisError:
    """The cause where there is one, a login refused for example: nothing else would be as clear."""
    from redis.sentinel import MasterNotFoundError

    return failure or MasterNotFoundError(f"no node of {service} is a primary")
