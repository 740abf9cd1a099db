"""Primary discovery: the node that reports the role of a primary and has replicas.

A primary that comes back after a failover reports the role too, for a moment, but has no replicas.

Both finders have the two methods that redis-py's Sentinel pools call on each connect, so that a pool follows a
failover, whatever performed it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.exceptions import RedisError

from valkeykit.effects import run_effects, run_effects_async
from valkeykit.url import Node

HostPort = tuple[str, int]
T = TypeVar("T")
Effects = Generator[Node, Any, T]
"""Requests the INFO replication of nodes."""


class PrimaryFinder:
    """Queries each node's role over a short-lived connection."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    def discover_master(self, service: str) -> HostPort:
        """The primary's host and port.

        Raises:
            redis.sentinel.MasterNotFoundError: No node reports the role of a primary.
        """
        return run_effects(_find_primary(service, self._nodes), self._info)

    def discover_slaves(self, service: str) -> list[HostPort]:  # noqa: ARG002  (redis-py's interface)
        """Hosts and ports of the replicas that respond."""
        return run_effects(_find_replicas(self._nodes), self._info)

    def _info(self, node: Node) -> Any:
        client = self._client(node)
        try:
            return client.info("replication")
        finally:
            client.close()


class AsyncPrimaryFinder:
    """PrimaryFinder for asyncio."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.asyncio.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    async def discover_master(self, service: str) -> HostPort:
        """As PrimaryFinder.discover_master."""
        return await run_effects_async(_find_primary(service, self._nodes), self._info)

    async def discover_slaves(self, service: str) -> list[HostPort]:  # noqa: ARG002  (redis-py's interface)
        """As PrimaryFinder.discover_slaves."""
        return await run_effects_async(_find_replicas(self._nodes), self._info)

    async def _info(self, node: Node) -> Any:
        client = self._client(node)
        try:
            return await client.info("replication")
        finally:
            await client.aclose()


def _find_primary(service: str, nodes: tuple[Node, ...]) -> Effects[HostPort]:
    failure: RedisError | None = None
    without_replicas: Node | None = None
    for node in nodes:
        try:
            info = yield node
        except RedisError as error:
            failure = error
            continue
        if _role(info) == "master":
            if int(info["connected_slaves"]) > 0:
                return node.host, node.port
            without_replicas = without_replicas or node
    if without_replicas:
        return without_replicas.host, without_replicas.port
    raise failure or _not_found(service)


def _find_replicas(nodes: tuple[Node, ...]) -> Effects[list[HostPort]]:
    replicas = []
    for node in nodes:
        try:
            info = yield node
        except RedisError:
            continue
        if _role(info) == "slave":
            replicas.append((node.host, node.port))
    return replicas


def _role(info: Any) -> str:
    return str(info["role"])


def _not_found(service: str) -> RedisError:
    from redis.sentinel import MasterNotFoundError

    return MasterNotFoundError(f"no node of {service} is a primary")
