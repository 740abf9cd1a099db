"""Connections follow a primary behind a name that moves, and carry the name of their client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import valkeykit
from redis.exceptions import ReadOnlyError
from valkeykit import AsyncCache, AsyncQueue, Cache, Queue, errors
from valkeykit.connection import open_client
from valkeykit.fast_connection import FastConnection
from valkeykit.settings import resolve_settings
from valkeykit.transport import is_demotion

from harness.ports import HOST
from harness.servers import ServerProcess, running
from tests.support.proxy import Proxy


class ServerPair(NamedTuple):
    """Two servers behind one name."""

    first: ServerProcess
    second: ServerProcess
    name: Proxy

    def fail_over(self) -> None:
        """Make the first a replica of the second, which the name then means."""
        with closing(self.first.client()) as client:
            client.replicaof(HOST, self.second.port)
        self.name.move(self.second)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[ServerPair]:
    with running(tmp_path / "a") as first, running(tmp_path / "b") as second:
        name = Proxy(first)
        yield ServerPair(first, second, name)
        name.close()


def test_a_queue_and_a_cache_follow_a_name_that_moves(pair: ServerPair) -> None:
    with (
        Queue("mail", pair.name.url, topology="single") as queue,
        Cache(pair.name.url, topology="single", read_timeout=5, connect_timeout=5) as cache,
    ):
        queue.add("job")
        assert cache.set("a", 1)
        assert cache.set_many({"b": 1, "c": 2})  # a pipeline has a connection of its own
        pair.fail_over()
        assert queue.add("job").new
        assert cache.set("a", 2)
        assert cache.delete("a") == 1
        assert cache.set_many({"b": 1, "c": 2})
        assert cache.get_or_compute("d", lambda: 4) == 4
        assert cache.get("d") == 4


def test_an_asyncio_queue_and_cache_follow_it_too(pair: ServerPair) -> None:
    async def main() -> None:
        queue = AsyncQueue("mail", pair.name.url, topology="single")
        cache = AsyncCache(pair.name.url, topology="single", read_timeout=5, connect_timeout=5)
        async with queue, cache:
            await queue.add("job")
            assert await cache.set("a", 1)
            assert await cache.set_many({"b": 1, "c": 2})
            pair.fail_over()
            assert (await queue.add("job")).new
            assert await cache.delete("a") == 0
            assert await cache.set_many({"b": 1, "c": 2})

    asyncio.run(main())


def test_a_client_fails_once_and_follows_it(pair: ServerPair) -> None:
    with closing(valkeykit.connect(pair.name.url, topology="single")) as client:
        _in_threads(8, lambda: client.set("a", 1))
        pair.fail_over()
        with pytest.raises(ReadOnlyError):
            client.set("a", 2)
        _in_threads(8, lambda: client.set("a", 3))  # every idle connection is another one now

    async def main() -> None:
        client = await valkeykit.aconnect(pair.name.url, topology="single")
        await asyncio.gather(*(client.set("a", number) for number in range(8)))
        with closing(pair.second.client()) as admin:
            admin.replicaof(HOST, pair.first.port)
        with closing(pair.first.client()) as admin:
            admin.replicaof("NO", "ONE")
        pair.name.move(pair.first)
        with pytest.raises(ReadOnlyError):
            await client.set("a", 2)
        await asyncio.gather(*(client.set("a", number) for number in range(8)))
        await client.aclose()

    asyncio.run(main())


def _in_threads(number: int, action: Callable[[], Any]) -> None:
    failures: list[Exception] = []
    barrier = threading.Barrier(number)

    def run() -> None:
        barrier.wait()
        try:
            action()
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_replies_after_a_rejected_write_are_read(pair: ServerPair) -> None:
    with closing(valkeykit.connect(pair.name.url, topology="single")) as client:
        client.set("a", 1)
        pair.fail_over()
        pipeline = client.pipeline(transaction=False)
        pipeline.set("a", 2)
        pipeline.execute_command("ROLE")
        refused, role = pipeline.execute(raise_on_error=False)
        assert isinstance(refused, ReadOnlyError)
        assert role[0] == "slave"
        assert client.set("a", 3)


def test_a_blocking_command_that_a_failover_ends_is_followed_too(pair: ServerPair) -> None:
    with closing(open_client(resolve_settings(pair.name.url, topology="single", read_timeout=30))) as client:
        connection = FastConnection(client)
        ended: list[Exception] = []

        def wait() -> None:
            try:
                connection.send("BLPOP", "nothing", 20)
            except Exception as error:  # noqa: BLE001
                ended.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        with closing(pair.first.client()) as admin:
            while admin.info("clients")["blocked_clients"] == 0:
                pass
        pair.fail_over()
        waiting.join(20)
        assert is_demotion(ended[0])
        assert isinstance(valkeykit.translate_error(ended[0]), errors.ReadOnlyError)
        assert connection.send("SET", "a", "1")


def test_a_reader_of_replicas_keeps_its_connection_when_it_writes(tmp_path: Path) -> None:
    with running(tmp_path / "a") as primary, running(tmp_path / "b") as replica:
        with closing(replica.client()) as admin:
            admin.replicaof(HOST, primary.port)
        url = f"valkey+replicated://{HOST}:{primary.port},{HOST}:{replica.port}"
        with closing(valkeykit.connect(url, read_from_replicas=True)) as client:
            before = client.client_id()
            with pytest.raises(ReadOnlyError):
                client.set("a", 1)
            assert client.client_id() == before


def test_more_callers_than_connections_all_get_one(server: ServerProcess) -> None:
    """A connection keeps idle connections to itself, which those who wait at the pool need."""
    with Cache(server.url, max_connections=2, connect_timeout=30, read_timeout=30) as cache:
        _in_threads(16, lambda: [cache.set("a", number) for number in range(50)])
        assert cache.statistics.errors == 0

    async def main() -> None:
        async with AsyncCache(server.url, max_connections=2, connect_timeout=30, read_timeout=30) as cache:
            assert all(await asyncio.gather(*(cache.set("a", number) for number in range(100))))

    asyncio.run(main())


def test_connections_carry_the_name_of_the_client_whatever_the_user_may_do(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+get")
        url = f"redis://app:pw@{HOST}:{own_server.port}"
        with closing(valkeykit.connect(url, topology="single", client_name="web-1")) as client:
            assert client.get("a") is None
            assert "web-1" in [one["name"] for one in admin.client_list()]

        async def main() -> list[str]:
            client = await valkeykit.aconnect(f"{url}?client_name=web-2", topology="single")
            await client.get("a")
            names = [one["name"] for one in admin.client_list()]
            await client.aclose()
            return names

        assert "web-2" in asyncio.run(main())


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with running(tmp_path / "server", "--unixsocket", str(path), "--requirepass", "p@ss") as server:
        url = f"unix://:p%40ss@{path}?db=1"
        with closing(valkeykit.connect(url)) as client:
            assert client.set("a", "1")
            assert client.info("keyspace")["db1"]["keys"] == 1
            assert "p@ss" not in repr(client)
        with Cache(url) as cache, Queue("mail", url) as queue:
            assert cache.set("b", 1)
            assert queue.add("job").new

        async def main() -> bool:
            async with AsyncCache(url) as cache:
                return bool(await cache.get("b") == 1)

        assert asyncio.run(main())
        server.stop()
        missing = valkeykit.connect(url)
        with (
            closing(missing),
            pytest.raises(errors.UnreachableError, match=r"unix socket|nothing listens"),
            valkeykit.translate_errors(),
        ):
            missing.ping()


def test_a_unix_socket_is_refused_where_it_makes_no_sense() -> None:
    for topology in ("cluster", "replicated", "sentinel"):
        with pytest.raises(errors.ConfigurationError, match="unix socket"):
            valkeykit.connect("unix:///run/valkey.sock", topology=topology)


def test_a_connection_whose_release_was_cancelled_is_closed_with_its_client(tmp_path: Path) -> None:
    """As a worker does that stops: redis-py takes it out of its lists, and is cancelled while it closes it."""

    async def main(server: ServerProcess) -> tuple[bool, bool]:
        client: Any = await valkeykit.aconnect(server.url, topology="single")
        connection = await client.connection_pool.get_connection()
        connection.mark_for_reconnect()
        connection.disconnect, close = asyncio.Event().wait, connection.disconnect
        releasing = asyncio.create_task(client.connection_pool.release(connection))
        while connection in client.connection_pool._in_use_connections:
            await asyncio.sleep(0)
        releasing.cancel()
        await asyncio.wait({releasing})
        connection.disconnect = close
        before = connection.is_connected
        await client.aclose()
        return before, connection.is_connected

    with running(tmp_path) as server:
        assert asyncio.run(main(server)) == (True, False)
