"""What a cache can't use: one clear error at the call, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from valkeykit import AsyncCache, Cache, errors
from valkeykit.cache import Leaderboard, Sessions

from harness.ports import HOST, free_port

NAN = float("nan")
NUMBERS = [NAN, float("inf"), -1, True, "60", b"60", [60], 10**400, -(10**5000), timedelta(1), Decimal(60)]
"""None of them is a number of seconds that anything may last."""

TEXTS: list[Any] = ["", "x" * 2000, 5, None, b"k", ["k"]]
TAGS: list[Any] = ["prices", b"prices", 5, None, [5], [""], [f"tag{number}" for number in range(256)]]


@pytest.fixture
def cache() -> Cache:
    """A cache that fails to reach its server whenever it tries."""
    return Cache(f"redis://{HOST}:{free_port()}")


def refuse(cache: Cache, call: Callable[[], object]) -> None:
    with pytest.raises(errors.ConfigurationError):
        call()
    assert (cache.statistics.calls, cache.statistics.errors, cache.statistics.computed) == (0, 0, 0)


@pytest.mark.parametrize("value", [*NUMBERS, 0], ids=lambda value: type(value).__name__)
def test_times_to_live(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.set("k", 1, value))
    refuse(cache, lambda: cache.set_many({"k": 1}, value))
    refuse(cache, lambda: cache.set_many({}, value))
    refuse(cache, lambda: cache.touch("k", value))
    refuse(cache, lambda: cache.get_or_compute("k", int, value))
    refuse(cache, lambda: cache.get_or_compute("k", int, negative_ttl=value))
    refuse(cache, lambda: cache.get_or_compute("k", int, lease=value))
    refuse(cache, lambda: Sessions(cache, value))
    refuse(cache, lambda: Leaderboard(cache, "today", value))


@pytest.mark.parametrize("value", [*NUMBERS, None], ids=lambda value: type(value).__name__)
def test_other_numbers(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.get_or_compute("k", int, stale=value))
    refuse(cache, lambda: Cache(cache._source, jitter=value))
    if value is not None and value != 10**400:
        refuse(cache, lambda: Cache(cache._source, compress_from=value))


def test_numbers_of_a_board(cache: Cache) -> None:
    board = Leaderboard(cache, "today")
    for value in (NAN, float("inf"), "5", True, None, 10**400):
        refuse(cache, lambda value=value: board.add("ada", value))  # type: ignore[misc]
        refuse(cache, lambda value=value: board.increment("ada", value))  # type: ignore[misc]
    for number in (-1, 1.5, "2", True, None):
        refuse(cache, lambda number=number: board.top(number))  # type: ignore[misc]
        refuse(cache, lambda number=number: board.around("ada", number))  # type: ignore[misc]
    refuse(cache, lambda: board.add("\ud800", 1))
    assert board.top(0) == []


@pytest.mark.parametrize("value", TEXTS, ids=lambda value: type(value).__name__)
def test_keys_tags_and_names(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.get(value))
    refuse(cache, lambda: cache.get_many([value]))
    refuse(cache, lambda: cache.set(value, 1))
    key: Any = "" if isinstance(value, list) else value
    refuse(cache, lambda: cache.set_many({key: 1}))
    refuse(cache, lambda: cache.delete("k", value))
    refuse(cache, lambda: cache.invalidate("t", value))
    refuse(cache, lambda: cache.touch(value, 60))
    refuse(cache, lambda: cache.get_or_compute(value, int))
    refuse(cache, lambda: Leaderboard(cache, value))
    if value != "":
        refuse(cache, lambda: Cache(cache._source, namespace=value))


@pytest.mark.parametrize("value", TAGS, ids=lambda value: type(value).__name__)
def test_lists_of_tags_and_of_keys(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.set("k", 1, tags=value))
    refuse(cache, lambda: cache.get_or_compute("k", int, tags=value))
    if not isinstance(value, list) or len(value) < 256:
        refuse(cache, lambda: cache.get_many(value))
        refuse(cache, lambda: cache.set_many(value))


@pytest.mark.parametrize("value", [None, 5, "compute"])
def test_compute_must_be_a_function(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.get_or_compute("k", value))


@pytest.mark.parametrize("value", [object(), {1}, b"bytes", "\ud800", int], ids=repr)
def test_values(cache: Cache, value: Any) -> None:
    refuse(cache, lambda: cache.set("k", value))
    refuse(cache, lambda: cache.set_many({"k": value}))
    refuse(cache, lambda: Sessions(cache).create(value))


def test_any_error_of_a_serializer_is_one_of_ours() -> None:
    class Broken:
        def dumps(self, value: Any) -> Any:
            return value()

        def loads(self, _data: bytes) -> Any:
            raise KeyError

    cache = Cache(f"redis://{HOST}:{free_port()}", serializer=Broken())
    refuse(cache, lambda: cache.set("k", lambda: 1 // 0))
    refuse(cache, lambda: cache.set("k", lambda: "text"))
    with pytest.raises(errors.ConfigurationError):
        cache.get_or_compute("k", lambda: lambda: b"can't be read back")


def test_asyncio_refuses_the_same() -> None:
    async def use(cache: AsyncCache) -> None:
        for work in (
            cache.set("k", 1, NAN),
            cache.set("k", 1, tags="prices"),
            cache.get_many("keys"),
            cache.get_or_compute("k", int, stale=-1),
            cache.touch("k", True),
        ):
            with pytest.raises(errors.ConfigurationError):
                await work
        assert cache.statistics.errors == 0

    asyncio.run(use(AsyncCache(f"redis://{HOST}:{free_port()}")))
