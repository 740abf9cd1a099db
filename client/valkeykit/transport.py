"""The transport: redis-py's connections (RESP3) with failover detection, a client name and reloaded certificates.

When a server turns out to have become a replica, all connections of the pool reconnect before they are used again.
If the host name follows the primary, the next command reaches the new one.
"""

from __future__ import annotations

import ssl
import weakref
from typing import Any

import redis
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection

from valkeykit.errors import ConfigurationError
from valkeykit.trust import Trust

_ENDED = ("while writing to socket", "connection reset", "connection closed by server")


class ClosedBeforeLoginError(ConnectionError):
    """The server ended the connection before it had answered the login."""


class TlsClosedBeforeLoginError(ClosedBeforeLoginError):
    """The server ended a TLS connection before it had answered the login.

    Attributes:
        with_certificate: Whether this client has shown a certificate.
    """

    def __init__(self, message: str, *, with_certificate: bool) -> None:
        super().__init__(message)
        self.with_certificate = with_certificate


class InvalidTrustError(ConnectionError):
    """The certificates can't be used.

    Attributes:
        ours: The error that says why.
    """

    def __init__(self, ours: ConfigurationError) -> None:
        super().__init__(str(ours))
        self.ours = ours


def is_demotion(error: Exception) -> bool:
    """Whether the error means that the server is no longer a primary."""
    if isinstance(error, ReadOnlyError):
        return True
    text = str(error)
    return (isinstance(error, ResponseError) and text.startswith("UNBLOCKED force")) or (
        isinstance(error, ConnectionError) and "previous master is now a slave" in text
    )


def closed_before_login(error: ConnectionError, trust: Trust | None) -> ConnectionError:
    """The error of a failed connect; its class says whether the server closed the connection before the login."""
    text = str(error)
    if isinstance(error, AuthenticationError) or not any(part in text.lower() for part in _ENDED):
        return error
    if trust is None:
        return ClosedBeforeLoginError(text)
    return TlsClosedBeforeLoginError(text, with_certificate=trust.certificate is not None)


def follow(pool: Any) -> Any:
    """Give all connections of a pool a reference to it; returns the pool."""
    pool.connection_kwargs["pool"] = weakref.ref(pool)
    return pool


class TransportBase:
    """The part of a connection that synchronous and asyncio code share.

    Args:
        pool: The connection's pool; `follow` passes it.
        name: The connection's name in CLIENT LIST.
        trust: For TLS.
    """

    def __init__(
        self,
        *,
        pool: weakref.ref[Any] | None = None,
        name: str | None = None,
        trust: Trust | None = None,
        **others: Any,
    ) -> None:
        self._pool = pool
        self._name = name
        self._trust = trust
        super().__init__(**others)

    def _leave(self) -> None:
        """Make all connections of the pool reconnect, this one included, after the pending responses are read."""
        pool = self._pool() if self._pool is not None else None
        if pool is None or not getattr(pool, "is_master", True):  # a replica was requested
            return
        for connection in (*pool._get_free_connections(), *pool._get_in_use_connections()):
            connection.mark_for_reconnect()


class _Transport(TransportBase):
    """A mixin that precedes a class of redis-py."""

    def connect(self) -> None:
        if self.should_reconnect():  # type: ignore[attr-defined]  # redis-py's
            self.disconnect()  # type: ignore[attr-defined]
        super().connect()  # type: ignore[misc]

    def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            super().on_connect_check_health(check_health=check_health)  # type: ignore[misc]
            if self._name:  # unlike CLIENT SETNAME, every user may do this
                self.send_command("HELLO", 3, "SETNAME", self._name, check_health=False)  # type: ignore[attr-defined]
                self.read_response()
        except ConnectionError as error:
            raise closed_before_login(error, self._trust) from error

    def read_response(self, *positional: Any, **options: Any) -> Any:
        try:
            return super().read_response(*positional, **options)  # type: ignore[misc]
        except RedisError as error:
            if is_demotion(error):
                self._leave()
            raise


class _TlsBase(_Transport):
    def _connect(self) -> Any:
        assert self._trust is not None  # noqa: S101
        try:
            self._context = self._trust.context()
        except ConfigurationError as problem:
            raise InvalidTrustError(problem) from problem
        return super()._connect()  # type: ignore[misc]

    def _wrap_socket_with_ssl(self, sock: Any) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_hostname=self.host)  # type: ignore[attr-defined]


class TcpConnection(_Transport, redis.Connection):
    """A TCP connection."""


class TlsConnection(_TlsBase, redis.SSLConnection):
    """A TLS connection."""


class UnixSocketConnection(_Transport, redis.UnixDomainSocketConnection):
    """A connection to a unix socket."""


def sentinels_of(pool: Any) -> list[Any]:
    """The Sentinel clients of a pool; none for a pool without Sentinels."""
    return list(getattr(pool.sentinel_manager, "sentinels", ())) if hasattr(pool, "sentinel_manager") else []


class SentinelPool(SentinelConnectionPool):
    """A pool of connections to the current primary; closes its connections to the Sentinels too."""

    def close(self) -> None:
        super().close()
        for sentinel in sentinels_of(self):
            sentinel.close()


class SentinelTcpConnection(_Transport, SentinelManagedConnection):
    """A TCP connection to the current primary."""


class SentinelTlsConnection(_TlsBase, SentinelManagedConnection, redis.SSLConnection):
    """A TLS connection to the current primary."""
