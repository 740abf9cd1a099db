"""Differences of the cache for asyncio: cancellation, and one thread for all callers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from valkeykit import AsyncCache, errors

from harness.servers import ServerProcess


def use(server: ServerProcess, test: Callable[[AsyncCache], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncCache(server.url, namespace="shop", read_timeout=5, connect_timeout=5) as cache:
            await test(cache)

    asyncio.run(run())


async def is_empty(cache: AsyncCache) -> bool:
    return await cache.commands(("DBSIZE",)) == [0]


def test_a_cancelled_request_releases_its_lease(server: ServerProcess) -> None:
    async def test(cache: AsyncCache) -> None:
        computing = asyncio.Event()

        async def forever() -> None:
            computing.set()
            await asyncio.sleep(3600)

        request = asyncio.ensure_future(cache.get_or_compute("k", forever, lease=3600))
        await computing.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert await is_empty(cache)
        assert await cache.get_or_compute("k", lambda: 1) == 1

    use(server, test)


def test_a_closed_request_releases_its_lease(server: ServerProcess) -> None:
    async def test(cache: AsyncCache) -> None:
        computing = asyncio.get_running_loop().create_future()

        class Pause:
            def __await__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
                yield

        async def forever() -> None:
            computing.set_result(None)
            while True:
                await Pause()

        request = cache.get_or_compute("k", forever, lease=3600)
        await cache.get("opens the connection")
        while not computing.done():
            waiting = request.send(None)
            if waiting is not None:
                waiting._asyncio_future_blocking = False
                await waiting
        request.close()
        while not await is_empty(cache):
            await asyncio.sleep(0.01)

    use(server, test)


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_a_lease_is_released_whatever_is_raised(server: ServerProcess, error: type[BaseException]) -> None:
    async def test(cache: AsyncCache) -> None:
        def fails() -> int:
            raise error

        with pytest.raises(error):
            await cache.get_or_compute("k", fails, lease=3600)
        while not await is_empty(cache):
            await asyncio.sleep(0.01)
        with pytest.raises(errors.ConfigurationError):
            await cache.get_or_compute("k", object, lease=3600)
        assert await is_empty(cache)

    use(server, test)


def test_one_computes_however_long_it_takes(server: ServerProcess) -> None:
    async def test(cache: AsyncCache) -> None:
        computed = []

        async def slow() -> int:
            computed.append(1)
            await asyncio.sleep(3.5)
            return 42

        callers = [cache.get_or_compute("k", slow, 60, lease=3) for _ in range(10)]
        assert await asyncio.gather(*callers) == [42] * 10
        assert (len(computed), await cache.get("k")) == (1, 42)

    use(server, test)


def test_a_computation_that_blocks_the_event_loop_is_stored(server: ServerProcess) -> None:
    async def test(cache: AsyncCache) -> None:
        def block() -> int:
            time.sleep(0.5)
            return 1

        assert await cache.get_or_compute("k", block, 60, lease=0.1) == 1
        assert await cache.get("k") == 1

    use(server, test)


def test_values_are_those_of_the_plain_cache(server: ServerProcess) -> None:
    async def test(cache: AsyncCache) -> None:
        computed: list[int] = []
        pair: Any = (1, 2)

        async def compute() -> int | None:
            computed.append(1)
            return None

        for _ in range(3):
            assert await cache.get_or_compute("pair", lambda: pair) == [1, 2]
            assert await cache.get_or_compute("none", compute, stale=300) is None
        assert len(computed) == 1
        assert await cache.set("forever", 1, None)
        assert await cache.commands(("PTTL", "shop:forever")) == [-1]

    use(server, test)
