"""Errors of connections to endpoints that are not servers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import redis
import valkeykit
from redis import exceptions as redis_errors
from valkeykit import errors
from valkeykit.queue.call_retry import is_transient

from harness.ports import HOST


@contextmanager
def hanging_up(answers: int) -> Iterator[str]:
    """The URL of what ends each connection after so many answers."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    for _ in range(answers):
                        connection.recv(4096)
                        connection.sendall(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                    connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"redis://{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize(
    ("answers", "text"), [(0, "before the login.*rediss://"), (1, "ended the connection.*its log")]
)
def test_a_connection_that_ends_before_the_login_or_after_it(answers: int, text: str) -> None:
    with (
        hanging_up(answers) as url,
        closing(valkeykit.connect(url, topology="single", read_timeout=30)) as client,
        pytest.raises(errors.UnreachableError, match=text),
        valkeykit.translate_errors(),
    ):
        client.ping()


@pytest.mark.parametrize(
    ("error", "kind", "passes"),
    [
        (redis_errors.ClusterError("TTL exhausted."), errors.UnreachableError, True),
        (redis_errors.TryAgainError("Multiple keys request during rehashing of slot"), errors.UnreachableError, True),
        (redis_errors.SlotNotCoveredError("Slot 5 is not covered"), errors.UnreachableError, True),
        (redis_errors.MaxConnectionsError("Too many connections"), errors.UnreachableError, True),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), errors.ReadOnlyError, True),
        (redis_errors.AuthenticationError("invalid username-password pair"), errors.LoginError, False),
        (redis_errors.MovedError("1 127.0.0.1:6379"), errors.TopologyError, False),
        (redis_errors.ResponseError("ERR no"), errors.RefusedError, False),
    ],
)
def test_what_passes_is_tried_again(error: Exception, kind: type[Exception], passes: bool) -> None:
    ours = valkeykit.translate_error(error)
    assert type(ours) is kind
    assert ours.fix
    assert is_transient(error) is passes


def test_a_socket_that_this_user_may_not_use() -> None:
    error = redis.ConnectionError("Error 13 connecting to /run/a.sock. Permission denied.")
    assert "unixsocketperm" in str(valkeykit.translate_error(error))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Error 111 connecting to localhost:6380. Connection refused.", "nothing listens at localhost:6380"),
        ("Error 111 connecting to 10.0.0.7:6379. Connect call failed.", "nothing listens at 10.0.0.7:6379"),
        (
            "Error -2 connecting to a.example.org:1. Name or service not known.",
            "host name of a.example.org:1 is unknown",
        ),
        ("Connection refused", "nothing listens at this address"),
    ],
)
def test_an_unreachable_address_is_named(text: str, message: str) -> None:
    assert message in str(valkeykit.translate_error(redis_errors.ConnectionError(text)))
