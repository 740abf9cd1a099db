"""`connect` for asyncio: the same names, defaults and topologies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from valkeykit.connection import NODES_SERVICE, mode_of, only, sentinel_arguments
from valkeykit.settings import Settings, Source, settle
from valkeykit.url import Node

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.settings import ConnectOptions

AsyncClient = aioredis.Redis | aioredis.RedisCluster


async def aconnect(url: Source = None, **options: Unpack[ConnectOptions]) -> aioredis.Redis:
    """An asyncio client; arguments and errors are those of `connect`."""
    return cast("aioredis.Redis", await open_async_client(settle(url, **options)))


async def open_async_client(settings: Settings) -> AsyncClient:
    """The client for settled settings."""
    if settings.topology == "cluster":
        return _cluster(settings)
    if settings.topology == "sentinel":
        return await _sentinel(settings)
    if settings.topology == "replicated":
        return _replicated(settings)
    client = _single(settings, Node(settings.address.host, settings.address.port))
    mode = "standalone" if settings.topology == "single" else await _mode(client)
    if mode == "cluster":
        await client.aclose()
        return _cluster(settings)
    if mode == "sentinel":
        await client.aclose()
        return await _sentinel(settings)
    return client


async def _mode(client: aioredis.Redis) -> str:
    try:
        return mode_of(await client.info("server"))
    except RedisError:
        return "standalone"


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _single(settings: Settings, node: Node) -> aioredis.Redis:
    pool = aioredis.BlockingConnectionPool(
        connection_class=aioredis.SSLConnection if settings.address.tls else aioredis.Connection,
        retry=_once(),
        **settings.pool_arguments(node),
    )
    return aioredis.Redis.from_pool(pool)


def _cluster(settings: Settings) -> aioredis.RedisCluster:
    from redis.asyncio.cluster import ClusterNode

    return aioredis.RedisCluster(
        startup_nodes=[ClusterNode(node.host, node.port) for node in settings.address.nodes],
        retry=_once(),
        **settings.cluster_arguments(),
    )


async def _sentinel(settings: Settings) -> aioredis.Redis:
    from redis.asyncio.sentinel import Sentinel

    manager = Sentinel(
        [(node.host, node.port) for node in settings.sentinels],
        sentinel_kwargs=sentinel_arguments(settings) | {"retry": _once()},
    )
    service = settings.address.service or await _only_service(manager)
    return _pooled(settings, service, manager)


async def _only_service(manager: Any) -> str:
    failure: RedisError | None = None
    for sentinel in manager.sentinels:
        try:
            return only(await sentinel.sentinel_masters())
        except RedisError as error:
            failure = error
    assert failure is not None  # noqa: S101  (a URL names at least one node)
    raise failure


def _replicated(settings: Settings) -> aioredis.Redis:
    from valkeykit.replicas import AsyncPrimaryFinder

    finder = AsyncPrimaryFinder(settings.address.nodes, lambda node: _single(settings, node))
    return _pooled(settings, NODES_SERVICE, finder)


def _pooled(settings: Settings, service: str, manager: Any) -> aioredis.Redis:
    from redis.asyncio.sentinel import SentinelConnectionPool

    pool = SentinelConnectionPool(
        service,
        manager,
        retry=_once(),
        **settings.sentinel_pool_arguments(),
    )
    return aioredis.Redis.from_pool(pool)
