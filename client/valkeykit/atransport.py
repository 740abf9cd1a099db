"""The transport for asyncio: the connections and pools of `valkeykit.transport`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakSet

from redis import asyncio as aioredis
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import ConnectionError, RedisError  # noqa: A004

from valkeykit.errors import ConfigurationError
from valkeykit.transport import InvalidTrustError, TransportBase, closed_before_login, is_demotion, sentinels_of


class _Transport(TransportBase):
    async def connect(self) -> None:
        if self.should_reconnect():  # type: ignore[attr-defined]  # redis-py's
            await self.disconnect()  # type: ignore[attr-defined]
        await super().connect()  # type: ignore[misc]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            await super().on_connect_check_health(check_health=check_health)  # type: ignore[misc]
            if self._name:
                await self.send_command("HELLO", 3, "SETNAME", self._name, check_health=False)  # type: ignore[attr-defined]
                await self.read_response()
        except ConnectionError as error:
            raise closed_before_login(error, self._trust) from error

    async def read_response(self, *positional: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*positional, **options)  # type: ignore[misc]
        except RedisError as error:
            if is_demotion(error):
                self._leave()
            raise


class _TlsBase(_Transport):
    async def connect_check_health(self, *positional: Any, **options: Any) -> None:
        if not self.is_connected:  # type: ignore[attr-defined]
            assert self._trust is not None  # noqa: S101
            try:
                self._context = self._trust.context()
            except ConfigurationError as problem:
                raise InvalidTrustError(problem) from problem
        await super().connect_check_health(*positional, **options)  # type: ignore[misc]

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._context}  # type: ignore[attr-defined]


class AsyncTcpConnection(_Transport, aioredis.Connection):
    """A TCP connection."""


class AsyncTlsConnection(_TlsBase, aioredis.SSLConnection):
    """A TLS connection."""


class AsyncUnixSocketConnection(_Transport, aioredis.UnixDomainSocketConnection):
    """A connection to a unix socket."""

    async def _connect(self) -> None:
        """Connect without the login of redis-py's own method, which would be the first of two."""
        opened = asyncio.open_unix_connection(path=self.path)
        self._reader, self._writer = await asyncio.wait_for(opened, self.socket_connect_timeout)


class _TrackingPool(aioredis.ConnectionPool):
    """Closes every connection that it made: redis-py forgets one whose release is cancelled."""

    def __init__(self, *positional: Any, **options: Any) -> None:
        self.made: WeakSet[Any] = WeakSet()
        super().__init__(*positional, **options)

    def make_connection(self) -> Any:
        connection = super().make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        self.made.add(connection)
        return connection

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for connection in tuple(self.made):
                await connection.disconnect()


class AsyncPool(_TrackingPool, aioredis.BlockingConnectionPool):
    """A pool of connections to one server."""


class AsyncSentinelPool(_TrackingPool, SentinelConnectionPool):
    """A pool of connections to the current primary; closes its connections to the Sentinels too."""

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in sentinels_of(self):
            await sentinel.aclose()


class AsyncSentinelTcpConnection(_Transport, SentinelManagedConnection):
    """A TCP connection to the current primary."""


class AsyncSentinelTlsConnection(_TlsBase, SentinelManagedConnection, aioredis.SSLConnection):
    """A TLS connection to the current primary."""


def abandon(client: aioredis.Redis | aioredis.RedisCluster) -> None:
    """Cut the connections of a client without its event loop, which may have ended."""
    for connection in tuple(_connections(client)):
        writer, connection._reader, connection._writer = connection._writer, None, None
        if writer is not None:
            with contextlib.suppress(RuntimeError, OSError):
                writer.transport.abort()


def _connections(client: Any) -> Iterator[Any]:
    if isinstance(client, aioredis.Redis):
        pool: Any = client.connection_pool
        yield from tuple(pool.made)
        for sentinel in sentinels_of(pool):
            yield from _connections(sentinel)
        return
    client._initialize = True
    for node in (*client.nodes_manager.startup_nodes.values(), *client.nodes_manager.nodes_cache.values()):
        yield from node._connections
