"""Connections: redis-py's clients with defaults that suit a server in production.

A command is sent once. By default redis-py sends it up to 11 times, which repeats an LPUSH or an INCR whose answer
was lost.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  (else the first lookup of a host imports it, and a child forked meanwhile hangs)
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from valkeykit import transport
from valkeykit.errors import ConfigurationError
from valkeykit.settings import (
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    ConnectionSettings,
    ConnectTarget,
    resolve_settings,
)
from valkeykit.url import Node

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from valkeykit.settings import CommonOptions, ConnectOptions

__all__ = ["CONNECT_TIMEOUT_SECONDS", "READ_TIMEOUT_SECONDS", "Client", "connect", "open_client"]

Client = redis.Redis | redis.RedisCluster

One = TypeVar("One")
Answer = TypeVar("Answer")

NODES_SERVICE = "nodes"
"""The name of the primary in a pool without Sentinels."""


@overload
def connect(
    url: ConnectTarget = None, *, topology: Literal["cluster"], **options: Unpack[CommonOptions]
) -> redis.RedisCluster: ...


@overload
def connect(
    url: ConnectTarget = None,
    *,
    topology: Literal["single", "replicated", "sentinel"],
    **options: Unpack[CommonOptions],
) -> redis.Redis: ...


@overload
def connect(url: ConnectTarget = None, **options: Unpack[ConnectOptions]) -> Client: ...


def connect(url: ConnectTarget = None, **options: Unpack[ConnectOptions]) -> Client:
    """Create a client.

    If neither the URL nor `topology` sets the topology, the server is queried once. A server that doesn't respond
    counts as a single one. A command is sent once; redis-py's retries are off.

    Args:
        url: Where to connect: a URL, an Address or an Endpoint. None for VALKEY_URL, REDIS_URL or
            redis://localhost:6379.
        **options: See ConnectOptions.

    Returns:
        A `redis.RedisCluster` for a cluster, else a `redis.Redis`.

    Raises:
        ConfigurationError: An argument, the URL or a variable can't be used, or DISABLE_REDIS is on.

    Example:
        >>> valkey = valkeykit.connect("redis://localhost:6379", topology="single")
        >>> valkey.set("greeting", "hello")
        True
    """
    return open_client(resolve_settings(url, **options))


def open_client(settings: ConnectionSettings, *, require_topology: bool = False) -> Client:
    """Open the client for resolved settings.

    Args:
        settings: Where to connect and how.
        require_topology: Raise redis-py's error if the topology can't be detected, rather than assume a single server.
    """
    if settings.topology is not None:
        return _OPENERS[settings.topology](settings)
    client = _first(settings)
    try:
        mode = _mode(client)
    except RedisError:
        if require_topology:
            client.close()
            raise
        mode = "standalone"
    if mode not in _MODES:
        return client
    client.close()
    return _OPENERS[mode](settings)


def _mode(client: redis.Redis) -> str:
    """The server's mode: standalone, cluster or sentinel."""
    try:
        return mode_of(client.info("server"))
    except NoPermissionError:  # HELLO is open to every user
        return mode_of(client.execute_command("HELLO"))


def mode_of(info: Any) -> str:
    """The mode that INFO or HELLO reports; the field's name changed with Valkey 8."""
    fields = {_text(name): value for name, value in dict(info).items()}
    return _text(fields.get("server_mode") or fields.get("redis_mode") or fields.get("mode") or "standalone")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _connection_class(settings: ConnectionSettings, node: Node) -> type[Any]:
    if node.socket:
        return transport.UnixSocketConnection
    return transport.TlsConnection if settings.address.tls else transport.TcpConnection


def _single(settings: ConnectionSettings, node: Node) -> redis.Redis:
    kind = _connection_class(settings, node)
    pool = redis.BlockingConnectionPool(connection_class=kind, retry=_no_retry(), **settings.pool_arguments(node))
    return redis.Redis.from_pool(transport.follow(pool))


def _cluster(settings: ConnectionSettings) -> redis.RedisCluster:
    from redis.cluster import ClusterNode

    kind = transport.TlsConnection if settings.address.tls else transport.TcpConnection
    first, *others = settings.address.nodes
    # With a URL, and only then, redis-py lets the caller make the pool of each node.
    return redis.RedisCluster(
        url=f"redis://{first}",
        startup_nodes=[ClusterNode(node.host, node.port) for node in others],
        connection_pool_class=partial(redis.ConnectionPool, connection_class=kind, **settings.transport_arguments()),
        retry=_no_retry(),
        **settings.cluster_arguments(),
    )


def _sentinel(settings: ConnectionSettings) -> redis.Redis:
    from redis.sentinel import Sentinel

    manager = Sentinel([])
    manager.sentinels = [_single(settings.at_sentinel(node), node) for node in settings.sentinels]
    service = settings.address.service or _only_service(manager)
    return _pooled(settings, service, manager)


def _only_service(manager: Any) -> str:
    """The name of the only primary that the Sentinels monitor."""
    return first_answer(manager.sentinels, lambda sentinel: only(sentinel.sentinel_masters()))


def first_answer(asked: Iterable[One], ask: Callable[[One], Answer]) -> Answer:
    """The answer of the first node that responds.

    Args:
        asked: At least one node.
        ask: Queries a node.

    Raises:
        RedisError: No node responds; it is the error of the last one.
    """
    failure: RedisError = redis.ConnectionError("no node was queried")
    for one in asked:
        try:
            return ask(one)
        except RedisError as error:
            failure = error
    raise failure


def only(primaries: dict[str, Any]) -> str:
    """The only name in a Sentinel's answer.

    Raises:
        ConfigurationError: The Sentinel monitors no primary, or several.
    """
    if len(primaries) != 1:
        names = ", ".join(sorted(primaries)) or "none"
        raise ConfigurationError(
            f"the Sentinel monitors {len(primaries)} primaries ({names}), so the URL must name one",
            fix="valkey+sentinel://host:26379/primary-name",
        )
    return next(iter(primaries))


def _replicated(settings: ConnectionSettings) -> redis.Redis:
    from valkeykit.primary_discovery import PrimaryFinder

    finder = PrimaryFinder(settings.address.nodes, lambda node: _single(settings, node))
    return _pooled(settings, NODES_SERVICE, finder)


def _pooled(settings: ConnectionSettings, service: str, manager: Any) -> redis.Redis:
    kind = transport.SentinelTlsConnection if settings.address.tls else transport.SentinelTcpConnection
    pool: Any = transport.SentinelPool(  # type: ignore[no-untyped-call]
        service,
        manager,
        connection_class=kind,
        retry=_no_retry(),
        **settings.sentinel_pool_arguments(),
    )
    return redis.Redis.from_pool(transport.follow(pool))


def _first(settings: ConnectionSettings) -> redis.Redis:
    return _single(settings, settings.address.nodes[0])


_OPENERS: dict[str, Callable[[ConnectionSettings], Client]] = {
    "single": _first,
    "cluster": _cluster,
    "sentinel": _sentinel,
    "replicated": _replicated,
}

_MODES = ("cluster", "sentinel")
"""Modes of a server that need another client than that for a single server."""
