"""`connect` for asyncio: the same names, defaults and topologies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

from valkeykit import atransport
from valkeykit.connection import NODES_SERVICE, mode_of, only
from valkeykit.settings import ConnectionSettings, ConnectTarget, resolve_settings
from valkeykit.transport import follow
from valkeykit.url import Node

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.settings import CommonOptions, ConnectOptions

AsyncClient = aioredis.Redis | aioredis.RedisCluster


@overload
async def aconnect(
    url: ConnectTarget = None, *, topology: Literal["cluster"], **options: Unpack[CommonOptions]
) -> aioredis.RedisCluster: ...


@overload
async def aconnect(
    url: ConnectTarget = None,
    *,
    topology: Literal["single", "replicated", "sentinel"],
    **options: Unpack[CommonOptions],
) -> aioredis.Redis: ...


@overload
async def aconnect(url: ConnectTarget = None, **options: Unpack[ConnectOptions]) -> AsyncClient: ...


async def aconnect(url: ConnectTarget = None, **options: Unpack[ConnectOptions]) -> AsyncClient:
    """Create an asyncio client.

    Args:
        url: As for `connect`.
        **options: See ConnectOptions.

    Returns:
        A `redis.asyncio.RedisCluster` for a cluster, else a `redis.asyncio.Redis`.

    Raises:
        ConfigurationError: An argument, the URL or a variable can't be used, or DISABLE_REDIS is on.

    Example:
        >>> valkey = await valkeykit.aconnect("redis://localhost:6379", topology="single")
        >>> await valkey.get("greeting")
        'hello'
    """
    return await open_async_client(resolve_settings(url, **options))


async def open_async_client(settings: ConnectionSettings, *, require_topology: bool = False) -> AsyncClient:
    """As connection.open_client."""
    if settings.topology == "sentinel":
        return await _sentinel(settings)
    if settings.topology is not None:
        return _OPENERS[settings.topology](settings)
    client = _first(settings)
    try:
        mode = await _mode(client)
    except RedisError:
        if require_topology:
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


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _connection_class(settings: ConnectionSettings, node: Node) -> type[Any]:
    if node.socket:
        return atransport.AsyncUnixSocketConnection
    return atransport.AsyncTlsConnection if settings.address.tls else atransport.AsyncTcpConnection


def _single(settings: ConnectionSettings, node: Node) -> aioredis.Redis:
    kind = _connection_class(settings, node)
    pool = atransport.AsyncPool(connection_class=kind, retry=_no_retry(), **settings.pool_arguments(node))
    return aioredis.Redis.from_pool(follow(pool))


def _first(settings: ConnectionSettings) -> aioredis.Redis:
    return _single(settings, settings.address.nodes[0])


def _cluster(settings: ConnectionSettings) -> aioredis.RedisCluster:
    from redis.asyncio.cluster import ClusterNode

    client = aioredis.RedisCluster(
        startup_nodes=[ClusterNode(node.host, node.port) for node in settings.address.nodes],
        retry=_no_retry(),
        **settings.cluster_arguments(),
    )
    kind = atransport.AsyncTlsConnection if settings.address.tls else atransport.AsyncTcpConnection
    # redis-py has no argument for the class of a node's connections; nodes found later are made from these.
    client.connection_kwargs |= {"connection_class": kind, **settings.transport_arguments()}
    for node in client.nodes_manager.startup_nodes.values():
        node.connection_class = kind
        node.connection_kwargs |= settings.transport_arguments()
    return client


async def _sentinel(settings: ConnectionSettings) -> aioredis.Redis:
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


def _replicated(settings: ConnectionSettings) -> aioredis.Redis:
    from valkeykit.primary_discovery import AsyncPrimaryFinder

    finder = AsyncPrimaryFinder(settings.address.nodes, lambda node: _single(settings, node))
    return _pooled(settings, NODES_SERVICE, finder)


def _pooled(settings: ConnectionSettings, service: str, manager: Any) -> aioredis.Redis:
    kind = atransport.AsyncSentinelTlsConnection if settings.address.tls else atransport.AsyncSentinelTcpConnection
    pool: Any = atransport.AsyncSentinelPool(
        service,
        manager,
        connection_class=kind,
        retry=_no_retry(),
        **settings.sentinel_pool_arguments(),
    )
    return aioredis.Redis.from_pool(follow(pool))


_OPENERS: dict[str, Callable[[ConnectionSettings], AsyncClient]] = {
    "single": _first,
    "cluster": _cluster,
    "replicated": _replicated,
}
