"""A connection that takes many commands at once.

redis-py makes the connection: TLS, login and errors are its. Beyond that its pipelines
spend most of a copy's time on themselves, so commands are written here as one block and
hiredis reads the answers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import TimeoutError as LateError
from redis.retry import Retry

from valkeykit import transport
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

CHUNK = 1 << 18
"""Bytes that one read takes at most."""


def pack(*words: Any) -> bytes:
    """A command as the server reads it."""
    packed: bytes = hiredis.pack_command(words)
    return packed


class _Many:
    """The block-wise side of a redis-py connection."""

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
            raise BrokenError(f"Error while writing: {type(problem).__name__}") from None

    def read(self, number: int) -> list[Any]:
        """The next answers; an error among them is returned, not raised."""
        answers: list[Any] = []
        gets = self._answers.gets
        while len(answers) < number:
            answer = gets()
            if answer is False:
                self._fill()
            else:
                answers.append(answer)
        return answers

    def read_for(self, seconds: float) -> list[Any]:
        """What comes in within so many seconds."""
        end = time.monotonic() + seconds
        answers: list[Any] = []
        while (left := end - time.monotonic()) > 0:
            self._sock.settimeout(left)
            with contextlib.suppress(LateError):
                self._fill()
            while (answer := self._answers.gets()) is not False:
                answers.append(answer)
        return answers

    def _fill(self) -> None:
        try:
            block = self._sock.recv(CHUNK)
        except TimeoutError:
            raise LateError("Timeout reading from socket") from None
        except (OSError, AttributeError) as problem:
            raise BrokenError(f"Error while reading: {type(problem).__name__}") from None
        if not block:
            raise BrokenError("Connection closed by server.")
        self._answers.feed(block)


class _Plain(_Many, transport.TcpConnection):
    pass


class _Encrypted(_Many, transport.TlsConnection):
    pass


class Wire:
    """One connection to one node and database. Not for several threads."""

    def __init__(self, settings: ConnectionSettings, node: Node, database: int = 0) -> None:
        kind = _Encrypted if settings.address.tls else _Plain
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
        self._connection.open()

    def send(self, block: bytes) -> None:
        """Write commands; their answers are still to be received."""
        self._connection.write(block)

    def receive(self, number: int) -> list[Any]:
        """The next answers. An error that the server answered is one of them."""
        return self._connection.read(number)

    def listen(self, seconds: float) -> list[Any]:
        """What the server sends by itself within so many seconds."""
        return self._connection.read_for(seconds)

    def ask(self, commands: Sequence[bytes]) -> list[Any]:
        """Packed commands in one round trip; errors are among the answers."""
        self.send(b"".join(commands))
        return self.receive(len(commands))

    def call(self, *words: Any) -> Any:
        """One command's answer.

        Raises:
            redis.ResponseError: the server refused it.
        """
        answer = self.ask([pack(*words)])[0]
        if isinstance(answer, redis.ResponseError | BrokenError):
            raise answer
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]
