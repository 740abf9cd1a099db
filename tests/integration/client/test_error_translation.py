"""An error names its own cause: none of TLS on a plain connection, none of the server's data."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest
import redis
import valkeykit
from valkeykit import Queue, errors

from harness.servers import ServerProcess


def test_a_client_that_the_server_evicts(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("maxmemory-clients", "1mb")
    with (
        closing(valkeykit.connect(own_server.url, topology="single", read_timeout=30)) as client,
        pytest.raises(errors.UnreachableError, match="maxmemory-clients") as caught,
        valkeykit.translate_errors(),
    ):
        client.set("a", "x" * 50_000_000)
    assert not isinstance(caught.value, errors.TlsError)

    async def main() -> None:
        client = await valkeykit.aconnect(own_server.url, topology="single", read_timeout=30)
        with pytest.raises(errors.UnreachableError, match="maxmemory-clients"), valkeykit.translate_errors():
            await client.set("a", "x" * 50_000_000)
        await client.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["LPUSH", "text", "s3cret"], "WRONGTYPE"),
        (["NOSUCH", "s3cret"], "doesn't support this command"),
        (["SETRANGE", "text", "-1", "s3cret"], r"rejected the command \(ERR\)"),
        (["XGROUP", "CREATE", "stream", "s3cret", "0", "MKSTREAM"], r"rejected the command \(BUSYGROUP\)"),
        (["EVAL", "return redis.error_reply('MYCODE s3cret')", 0], r"rejected the command \(MYCODE\)"),
        (["EVAL", "return redis.error_reply('s3cret9 s3cret')", 0], "rejected the command"),
    ],
)
def test_a_refused_command_names_the_server_s_first_word(
    server: ServerProcess, command: list[object], text: str
) -> None:
    with closing(server.client()) as admin:
        admin.set("text", "s3cret")
        admin.xgroup_create("stream", "s3cret", mkstream=True)
    with (
        closing(valkeykit.connect(server.url, topology="single")) as client,
        pytest.raises(errors.RefusedError, match=text) as caught,
        valkeykit.translate_errors(),
    ):
        client.execute_command(*command)
    assert "s3cret" not in str(caught.value)


def test_a_cluster_that_redirects_to_a_node_it_has_not_named(server: ServerProcess) -> None:
    """redis-py raises an AttributeError for it."""
    with Queue("mail", server.url, retry_for=30) as queue:
        queue.check()
        connection = queue._lazy.connection
        assert connection is not None
        failures = [AttributeError("'NoneType' object has no attribute 'redis_connection'")]
        refreshed = []

        class Cluster:
            class nodes_manager:  # noqa: N801
                initialize = staticmethod(lambda: refreshed.append(1))

            def __init__(self, client: redis.Redis) -> None:
                self._client = client

            def execute_command(self, *command: object) -> object:
                if failures:
                    raise failures.pop()
                return self._client.execute_command(*command)

            def close(self) -> None:
                self._client.close()

        connection.client = Cluster(connection.client)  # type: ignore[assignment,arg-type]
        assert queue.add("job").new
        assert refreshed
