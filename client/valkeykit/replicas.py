"""The primary among nodes that no Sentinel watches: the one that says so.

Both finders answer the two questions that redis-py's Sentinel pools ask on each
connect, so that a pool follows a failover made by whoever runs the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import RedisError

from valkeykit.url import Node

Address = tuple[str, int]


class PrimaryFinder:
    """Asks each node for its role over a short-lived connection."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    def discover_master(self, service: str) -> Address:
        """The primary's host and port.

        Raises:
            redis.sentinel.MasterNotFoundError: no node says that it is one.
        """
        failure: RedisError | None = None
        for node in self._nodes:
            try:
                if self._role(node) == "master":
                    return node.host, node.port
            except RedisError as error:
                failure = error
        raise _not_found(service, failure)

    def discover_slaves(self, service: str) -> list[Address]:  # noqa: ARG002  (redis-py's interface)
        """The replicas that answer."""
        found = []
        for node in self._nodes:
            try:
                if self._role(node) == "slave":
                    found.append((node.host, node.port))
            except RedisError:
                continue
        return found

    def _role(self, node: Node) -> str:
        client = self._client(node)
        try:
            return _role(client.info("replication"))
        finally:
            client.close()


class AsyncPrimaryFinder:
    """PrimaryFinder for asyncio."""

    def __init__(self, nodes: tuple[Node, ...], client: Callable[[Node], redis.asyncio.Redis]) -> None:
        self._nodes = nodes
        self._client = client

    async def discover_master(self, service: str) -> Address:
        """As PrimaryFinder.discover_master."""
        failure: RedisError | None = None
        for node in self._nodes:
            try:
                if await self._role(node) == "master":
                    return node.host, node.port
            except RedisError as error:
                failure = error
        raise _not_found(service, failure)

    async def discover_slaves(self, service: str) -> list[Address]:  # noqa: ARG002  (redis-py's interface)
        """As PrimaryFinder.discover_slaves."""
        found = []
        for node in self._nodes:
            try:
                if await self._role(node) == "slave":
                    found.append((node.host, node.port))
            except RedisError:
                continue
        return found

    async def _role(self, node: Node) -> str:
        client = self._client(node)
        try:
            return _role(await client.info("replication"))
        finally:
            await client.aclose()


def _role(info: Any) -> str:
    return str(info["role"])


def _not_found(service: str, failure: RedisError | None) -> RedisError:
    """The cause where there is one, a login refused for example: nothing else would be as clear."""
    from redis.sentinel import MasterNotFoundError

    return failure or MasterNotFoundError(f"no node of {service} is a primary")
