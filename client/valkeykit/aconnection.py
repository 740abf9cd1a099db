"""`connect` for asyncio: the same names, defaults and topologies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

from valkeykit import alinks
from valkeykit.connection import NODES_SERVICE, mode_of, only
from valkeykit.links import follow
from valkeykit.settings import Settings, Source, settle
from valkeykit.url import Node

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.settings import ConnectOptions

AsyncClient = aioredis.Redis | aioredis.RedisCluster


async def aconnect(url: Source = None, **options: Unpack[ConnectOptions]) -> aioredis.Redis:
    """An asyncio client; arguments and errors are those of `connect`."""
    return cast("aioredis.Redis", await open_async_client(settle(url, **options)))


async def open_async_client(settings: Settings, *, sure: bool = False) -> AsyncClient:
    """As connection.open_client."""
    if settings.topology == "sentinel":
        return await _sentinel(settings)
    if settings.topology is not None:
        return _OPENERS[settings.topology](settings)
    client = _first(settings)
    try:
        mode = await _mode(client)
    except RedisError:
        if sure:
            await client.aclose()
            raise
        mode = "standalone"
    if mode == "standalone":
        return client
    await client.aclose()
    return _cluster(settings) if mode == "cluster" else await _sentinel(settings)


async def _mode(client: aioredis.Redis) -> str:
    try:
        return mode_of(await client.info("server"))
    except NoPermissionError:  # HELLO is open to every user
        return mode_of(await client.execute_command("HELLO"))


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _single(settings: Settings, node: Node) -> aioredis.Redis:
    kind = alinks.SocketLink if node.socket else alinks.TlsLink if settings.address.tls else alinks.Link
    pool = alinks.Pool(connection_class=kind, retry=_once(), **settings.pool_arguments(node))
    return aioredis.Redis.from_pool(follow(pool))


def _first(settings: Settings) -> aioredis.Redis:
    return _single(settings, settings.address.nodes[0])


def _cluster(settings: Settings) -> aioredis.RedisCluster:
    from redis.asyncio.cluster import ClusterNode

    client = aioredis.RedisCluster(
        startup_nodes=[ClusterNode(node.host, node.port) for node in settings.address.nodes],
        retry=_once(),
        **settings.cluster_arguments(),
    )
    kind = alinks.TlsLink if settings.address.tls else alinks.Link
    # redis-py has no argument for the class of a node's connections; nodes found later are made from these.
    client.connection_kwargs |= {"connection_class": kind, **settings.link_arguments()}
    for node in client.nodes_manager.startup_nodes.values():
        node.connection_class = kind
        node.connection_kwargs |= settings.link_arguments()
    return client


async def _sentinel(settings: Settings) -> aioredis.Redis:
    from redis.asyncio.sentinel import Sentinel

    manager = Sentinel([])
    manager.sentinels = [_single(settings.at_sentinel(node), node) for node in settings.sentinels]
    try:
        service = settings.address.service or await _only_service(manager)
    except BaseException:
        for sentinel in manager.sentinels:
            await sentinel.aclose()
        raise
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
    pool: Any = alinks.SentinelPool(
        service,
        manager,
        connection_class=alinks.SentinelTlsLink if settings.address.tls else alinks.SentinelLink,
        retry=_once(),
        **settings.sentinel_pool_arguments(),
    )
    return aioredis.Redis.from_pool(follow(pool))


_OPENERS: dict[str, Callable[[Settings], AsyncClient]] = {
    "single": _first,
    "cluster": _cluster,
    "replicated": _replicated,
}
