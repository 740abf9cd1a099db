"""The primary among nodes: the one that says so and that others follow.

A primary that comes back after a failover says so too, for a moment, but nobody follows it.

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
        alone: Node | None = None
        for node in self._nodes:
            try:
                info = self._info(node)
            except RedisError as error:
                failure = error
                continue
            if _leads(info):
                return node.host, node.port
            alone = alone or (node if _role(info) == "master" else None)
        if alone:
            return alone.host, alone.port
        raise _not_found(service, failure)

    def discover_slaves(self, service: str) -> list[Address]:  # noqa: ARG002  (redis-py's interface)
        """The replicas that answer."""
        found = []
        for node in self._nodes:
            try:
                if _role(self._info(node)) == "slave":
                    found.append((node.host, node.port))
            except RedisError:
                continue
        return found

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

    async def discover_master(self, service: str) -> Address:
        """As PrimaryFinder.discover_master."""
        failure: RedisError | None = None
        alone: Node | None = None
        for node in self._nodes:
            try:
                info = await self._info(node)
            except RedisError as error:
                failure = error
                continue
            if _leads(info):
                return node.host, node.port
            alone = alone or (node if _role(info) == "master" else None)
        if alone:
            return alone.host, alone.port
        raise _not_found(service, failure)

    async def discover_slaves(self, service: str) -> list[Address]:  # noqa: ARG002  (redis-py's interface)
        """As PrimaryFinder.discover_slaves."""
        found = []
        for node in self._nodes:
            try:
                if _role(await self._info(node)) == "slave":
                    found.append((node.host, node.port))
            except RedisError:
                continue
        return found

    async def _info(self, node: Node) -> Any:
        client = self._client(node)
        try:
            return await client.info("replication")
        finally:
            await client.aclose()


def _leads(info: Any) -> bool:
    return _role(info) == "master" and int(info["connected_slaves"]) > 0


def _role(info: Any) -> str:
    return str(info["role"])


def _not_found(service: str, failure: RedisError | None) -> RedisError:
    """The cause where there is one, a login refused for example: nothing else would be as clear."""
    from redis.sentinel import MasterNotFoundError

    return failure or MasterNotFoundError(f"no node of {service} is a primary")
