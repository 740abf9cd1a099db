"""Pipelined connection: sends many commands in one block.

redis-py opens the connection, including TLS, login and errors.
Its pipelines would take most of a copy's time, so commands are written as one block and hiredis parses the replies.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as LateError
from redis.retry import Retry
from valkeykit import transport
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node
from valkeykit.vocabulary import MigrationRole

from valkeykit_ops.migrate.failures import naming_endpoint

READ_BYTES = 1 << 18
"""Maximum bytes per read."""

TLS_HANDSHAKE_SECONDS = 10.0
"""Maximum time of a TLS handshake; a port without TLS does not answer it."""


class EndedError(BrokenError):
    """The connection ended after the login."""


def pack(*words: Any) -> bytes:
    """Encode a command."""
    packed: bytes = hiredis.pack_command(words)
    return packed


class _BlockIo:
    """Block-wise reads and writes of a redis-py connection."""

    _sock: Any
    _parser: Any

    def open(self) -> None:
        self.connect()  # type: ignore[attr-defined]  # redis-py's
        self._answers = hiredis.Reader(replyError=self._parser.parse_error)

    def write(self, block: bytes) -> None:
        try:
            self._sock.sendall(block)
        except TimeoutError:
            raise LateError("Timeout writing to socket") from None
        except (OSError, AttributeError) as problem:
            raise EndedError(f"Error while writing: {problem}") from None

    def read(self, number: int) -> list[Any]:
        """The next replies; errors are returned, not raised."""
        answers: list[Any] = []
        gets = self._answers.gets
        try:
            while len(answers) < number:
                answer = gets()
                if answer is False:
                    self._receive_block()
                else:
                    answers.append(answer)
        except hiredis.ProtocolError:
            raise InvalidResponse("Protocol Error") from None
        return answers

    def read_for(self, seconds: float) -> list[Any]:
        """Messages that arrive within the given seconds."""
        end = time.monotonic() + seconds
        answers: list[Any] = []
        while (left := end - time.monotonic()) > 0:
            self._sock.settimeout(left)
            with contextlib.suppress(LateError):
                self._receive_block()
            while (answer := self._answers.gets()) is not False:
                answers.append(answer)
        return answers

    def _receive_block(self) -> None:
        try:
            block = self._sock.recv(READ_BYTES)
        except TimeoutError:
            raise LateError("Timeout reading from socket") from None
        except (OSError, AttributeError) as problem:
            raise EndedError(f"Error while reading: {problem}") from None
        if not block:
            raise EndedError("Connection closed by server.")
        self._answers.feed(block)


class _PlainConnection(_BlockIo, transport.TcpConnection):
    pass


class _TlsConnection(_BlockIo, transport.TlsConnection):
    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        limit = sock.gettimeout()
        sock.settimeout(TLS_HANDSHAKE_SECONDS)
        wrapped = super()._wrap_socket_with_ssl(sock)
        wrapped.settimeout(limit)
        return wrapped


class PipelinedConnection:
    """A connection to one node and database. Not thread-safe."""

    def __init__(
        self, settings: ConnectionSettings, node: Node, database: int = 0, role: MigrationRole | None = None
    ) -> None:
        """Connect.

        Raises:
            redis.RedisError: The node is unreachable or rejected the login.
        """
        kind = _TlsConnection if settings.address.tls else _PlainConnection
        self.node = node
        self._connection = kind(
            host=node.host,
            port=node.port,
            db=database,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            **settings.client_arguments(),
            **settings.transport_arguments(),
        )
        self._role = role
        given = {(one.host, one.port) for one in settings.address.nodes}
        with naming_endpoint(role, self._name, announced=(node.host, node.port) not in given):
            self._connection.open()

    @property
    def _name(self) -> str:
        return f"{self.node.host}:{self.node.port}"

    def _naming(self) -> AbstractContextManager[None]:
        return naming_endpoint(self._role, self._name)

    def send(self, block: bytes) -> None:
        """Send commands; receive their replies later."""
        with self._naming():
            self._connection.write(block)

    def receive(self, number: int) -> list[Any]:
        """The next replies; errors of the server are among them."""
        with self._naming():
            return self._connection.read(number)

    def listen(self, seconds: float) -> list[Any]:
        """Push messages that arrive within the given seconds."""
        with self._naming():
            return self._connection.read_for(seconds)

    def request(self, commands: Sequence[bytes]) -> list[Any]:
        """Send encoded commands in one round trip; errors are among the replies."""
        self.send(b"".join(commands))
        return self.receive(len(commands))

    def call(self, *words: Any) -> Any:
        """The reply to one command.

        Raises:
            redis.ResponseError: The server rejected it.
        """
        answer = self.request([pack(*words)])[0]
        if isinstance(answer, redis.ResponseError | BrokenError):
            with self._naming():
                raise answer
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]
