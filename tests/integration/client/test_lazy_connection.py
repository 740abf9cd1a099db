"""A cache and a queue connect at their first call: from any thread, event loop or child process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import valkeykit
from valkeykit import AsyncCache, AsyncQueue, Cache, Queue, errors

from harness import servers
from harness.ports import HOST, free_port
from harness.servers import ServerProcess
from harness.tls import LOCAL, context, end
from harness.waiting import wait_until


@pytest.fixture
def unresponsive() -> Iterator[str]:
    """The URL of what takes connections and never answers."""
    with socket.create_server((HOST, 0), backlog=200) as listener:
        yield f"redis://{HOST}:{listener.getsockname()[1]}"


def test_each_event_loop_has_connections_of_its_own(server: ServerProcess) -> None:
    cache, queue = AsyncCache(server.url), AsyncQueue("mail", server.url)

    async def use() -> None:
        assert await cache.set("a", 1)
        assert await cache.get_many(["a"]) == {"a": 1}
        await queue.add("job")

    async def close() -> None:
        await cache.close()
        await queue.close()

    for _ in range(3):
        asyncio.run(use())
    asyncio.run(close())
    with closing(server.client()) as admin:  # nothing is left over
        wait_until(lambda: len(admin.client_list()) == 1)


def test_a_loop_that_has_ended_leaves_no_tls_connection(tmp_path: Path, server: ServerProcess) -> None:
    with end(tmp_path, server.port, context(tmp_path, LOCAL)) as tls:
        cache = AsyncCache(f"rediss://localhost:{tls.port}", ca=tls.ca, topology="single", connect_timeout=30)

        async def use() -> None:
            assert await cache.set("a", 1)

        asyncio.run(use())
        asyncio.run(use())
        asyncio.run(cache.close())


def test_a_cluster_is_used_from_two_loops(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes:
        cache = AsyncCache(nodes[0].url, connect_timeout=30, read_timeout=30)

        async def use() -> None:
            assert all([await cache.set(f"k{number}", number) for number in range(10)])

        asyncio.run(use())
        asyncio.run(use())
        asyncio.run(cache.close())


def test_sentinels_are_queried_from_two_loops(tmp_path: Path) -> None:
    group = servers.Sentinels(tmp_path)
    try:
        group.start()
        cache = AsyncCache(group.url, connect_timeout=30, read_timeout=30)

        async def use() -> None:
            assert await cache.set("a", 1)

        asyncio.run(use())
        asyncio.run(use())
        asyncio.run(cache.close())

        async def once() -> None:
            client = await valkeykit.aconnect(group.url)
            assert await client.set("a", 1)
            await client.aclose()

        asyncio.run(once())
    finally:
        group.kill()


def test_two_loops_at_the_same_time(server: ServerProcess) -> None:
    cache = AsyncCache(server.url, connect_timeout=30, read_timeout=30)
    both = threading.Barrier(2)
    results: list[bool] = []

    async def use() -> None:
        for number in range(50):
            results.append(await cache.set("a", number))
            if number == 10:
                both.wait(30)

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 100
    asyncio.run(cache.close())


def test_a_server_that_does_not_respond_delays_no_other_caller(unresponsive: str, server: ServerProcess) -> None:
    slow = Queue("slow", unresponsive, retry_for=0, connect_timeout=30, read_timeout=30)
    thread = threading.Thread(target=lambda: _ignoring(lambda: slow.add("job")), daemon=True)
    thread.start()
    with Queue("mail", server.url) as queue:
        assert queue.add("job").new
    assert thread.is_alive()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python 3.12; many servers do it
def test_a_child_that_is_forked_while_a_thread_connects(unresponsive: str, server: ServerProcess) -> None:
    queue = Queue("mail", unresponsive, retry_for=0, connect_timeout=30, read_timeout=30)
    cache = Cache(server.url)
    assert cache.set("a", 1)
    thread = threading.Thread(target=lambda: _ignoring(lambda: queue.add("job")), daemon=True)
    thread.start()
    wait_until(lambda: queue._lazy._attempt is not None)

    def child() -> None:
        queue.source = server.url
        os._exit(0 if queue.add("job").new and cache.get("a") == 1 else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert cache.get("a") == 1
    cache.close()


def test_a_cache_first_used_before_its_cluster_is_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with servers.cluster(tmp_path) as nodes:
        for node in nodes:
            node.stop()
        cache = Cache(nodes[0].url, breaker=valkeykit.breaker.CircuitBreaker(failures=1000))
        other = AsyncCache(nodes[0].url, breaker=valkeykit.breaker.CircuitBreaker(failures=1000))
        assert not cache.set("a", 1)

        async def main() -> None:
            assert not await other.set("a", 1)
            for node in nodes:
                node.start()
            with closing(nodes[0].client()) as admin:
                wait_until(lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
            for number in range(20):
                key = f"k{number}"
                wait_until(partial(cache.set, key, 1))
                while not await other.set(key, 1):
                    await asyncio.sleep(0.05)
            await other.close()

        asyncio.run(main())
        cache.close()


def test_a_client_made_while_the_server_was_down_raises_an_error_with_a_fix(tmp_path: Path) -> None:
    port = free_port()
    client = valkeykit.connect(f"redis://{HOST}:{port}")
    node = ServerProcess(tmp_path, "--cluster-enabled", "yes", port=port)
    try:
        node.start()
        with closing(node.client()) as admin:
            admin.execute_command("CLUSTER ADDSLOTS", 1)
            admin.config_set("cluster-require-full-coverage", "no")
        with (
            closing(client),
            pytest.raises((errors.TopologyError, errors.UnreachableError)) as caught,
            valkeykit.translate_errors(),
        ):
            client.get("a")
        assert caught.value.fix
    finally:
        node.kill()


def test_a_cluster_is_found_out_by_a_user_without_info(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes:
        for node in nodes:
            with closing(node.client()) as admin:
                admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info")
        with closing(valkeykit.connect(f"redis://app:pw@{HOST}:{nodes[0].port}")) as client:
            assert all(client.set(f"k{number}", number) for number in range(20))


def _ignoring(action: Callable[[], object]) -> None:
    with contextlib.suppress(errors.ValkeykitError):
        action()
