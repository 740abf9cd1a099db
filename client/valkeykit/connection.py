"""Connections: redis-py's clients with defaults that suit a server in production.

A command is sent once: redis-py's own default sends it up to 11 times, which
doubles an LPUSH or an INCR whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from valkeykit.errors import ConfigurationError
from valkeykit.settings import CONNECT_TIMEOUT, READ_TIMEOUT, Settings, Source, settle
from valkeykit.url import Node

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.settings import ConnectOptions

__all__ = ["CONNECT_TIMEOUT", "READ_TIMEOUT", "Client", "connect", "open_client"]

Client = redis.Redis | redis.RedisCluster

One = TypeVar("One")
Answer = TypeVar("Answer")

NODES_SERVICE = "nodes"
"""What a pool calls its primary where no Sentinel has named it."""


def connect(url: Source = None, **options: Unpack[ConnectOptions]) -> redis.Redis:
    """A client for a URL, an Endpoint, or what the environment names.

    url: where to connect; None for VALKEY_URL, REDIS_URL or redis://localhost:6379.
    options: see ConnectOptions.

    For a cluster it is a redis.RedisCluster, which has the same commands.

    Raises:
        ConfigurationError: an argument or the URL can't be read, or DISABLE_REDIS is on.
    """
    return cast("redis.Redis", open_client(settle(url, **options)))


def open_client(settings: Settings) -> Client:
    """The client for settled settings."""
    if settings.topology == "cluster":
        return _cluster(settings)
    if settings.topology == "sentinel":
        return _sentinel(settings)
    if settings.topology == "replicated":
        return _replicated(settings)
    client = _single(settings, Node(settings.address.host, settings.address.port))
    mode = "standalone" if settings.topology == "single" else _mode(client)
    if mode == "cluster":
        client.close()
        return _cluster(settings)
    if mode == "sentinel":
        client.close()
        return _sentinel(settings)
    return client


def _mode(client: redis.Redis) -> str:
    """standalone, cluster or sentinel; standalone too where the server doesn't say."""
    try:
        return mode_of(client.info("server"))
    except RedisError:
        return "standalone"


def mode_of(info: Any) -> str:
    """What INFO says of itself; the field's name changed with Valkey 8."""
    return str(info.get("server_mode") or info.get("redis_mode") or "standalone")


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _single(settings: Settings, node: Node) -> redis.Redis:
    pool = redis.BlockingConnectionPool(
        connection_class=redis.SSLConnection if settings.address.tls else redis.Connection,
        retry=_once(),
        **settings.pool_arguments(node),
    )
    return redis.Redis.from_pool(pool)


def _cluster(settings: Settings) -> redis.RedisCluster:
    from redis.cluster import ClusterNode

    return redis.RedisCluster(
        startup_nodes=[ClusterNode(node.host, node.port) for node in settings.address.nodes],
        retry=_once(),
        **settings.cluster_arguments(),
    )


def _sentinel(settings: Settings) -> redis.Redis:
    from redis.sentinel import Sentinel

    manager = Sentinel(
        [(node.host, node.port) for node in settings.sentinels],
        sentinel_kwargs=sentinel_arguments(settings) | {"retry": _once()},
    )
    service = settings.address.service or _only_service(manager)
    return _pooled(settings, service, manager)


def _only_service(manager: Any) -> str:
    """The name of the primary that the Sentinels watch, where they watch one."""
    return first_answer(manager.sentinels, lambda sentinel: only(sentinel.sentinel_masters()))


def first_answer(asked: Iterable[One], ask: Callable[[One], Answer]) -> Answer:
    """What the first one that answers says.

    asked: at least one.

    Raises:
        RedisError: none answers; it is the last one's.
    """
    failure: RedisError = redis.ConnectionError("nobody was asked")
    for one in asked:
        try:
            return ask(one)
        except RedisError as error:
            failure = error
    raise failure


def only(primaries: dict[str, Any]) -> str:
    """The one name of a Sentinel's answer.

    Raises:
        ConfigurationError: it watches none, or several.
    """
    if len(primaries) != 1:
        names = ", ".join(sorted(primaries)) or "none"
        raise ConfigurationError(
            f"the Sentinel watches {len(primaries)} primaries ({names}), so the URL must name one",
            fix="valkey+sentinel://host:26379/primary-name",
        )
    return next(iter(primaries))


def sentinel_arguments(settings: Settings) -> dict[str, Any]:
    """How a Sentinel itself is reached."""
    user, password = settings.sentinel_credentials or (None, None)
    return (
        settings.client_arguments()
        | settings.tls_arguments()
        | {"username": user, "password": password, "decode_responses": True, "ssl": settings.address.tls}
        | {"credential_provider": None}
    )


def _replicated(settings: Settings) -> redis.Redis:
    from valkeykit.replicas import PrimaryFinder

    finder = PrimaryFinder(settings.address.nodes, lambda node: _single(settings, node))
    return _pooled(settings, NODES_SERVICE, finder)


def _pooled(settings: Settings, service: str, manager: Any) -> redis.Redis:
    from redis.sentinel import SentinelConnectionPool

    pool = SentinelConnectionPool(
        service,
        manager,
        retry=_once(),
        **settings.sentinel_pool_arguments(),
    )
    return redis.Redis.from_pool(pool)
