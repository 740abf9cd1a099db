"""The cache on a real server."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from valkeykit import AsyncCache, Cache, errors
from valkeykit.cache import MISSING, ttl

from harness import servers
from harness.ports import HOST, free_port
from harness.servers import ServerProcess
from harness.waiting import wait_until

ROOT = Path(__file__).parents[3]


def test_values_come_back(cache: Cache) -> None:
    for value in (None, 0, "", "x" * 10_000, [1, {"a": None}], {"ü": 1.5}):
        assert cache.set("key", value, 60)
        assert cache.get("key", MISSING) == value
    assert cache.get("other") is None
    assert cache.get("other", 7) == 7
    assert (cache.statistics.hits, cache.statistics.misses) == (6, 2)
    assert cache.statistics.latency > 0


def test_many_in_one_round_trip(cache: Cache) -> None:
    assert cache.set_many({"a": 1, "b": 2}, 60)
    calls = cache.statistics.calls
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert cache.statistics.calls == calls + 1
    assert cache.get_many([]) == {}
    assert cache.delete("a", "c") == 1


def test_big_values_are_compressed_and_any_serializer_fits(server: ServerProcess) -> None:
    with Cache(server.url, serializer=pickle) as cache, closing(server.client()) as admin:
        cache.set("big", "x" * 100_000, 60)
        assert cache.get("big") == "x" * 100_000
        assert admin.strlen("big") < 1000
        cache.set("set", {1, 2}, 60)
        assert cache.get("set") == {1, 2}


def test_time_to_live_is_jittered_and_never_longer(cache: Cache, server: ServerProcess) -> None:
    with closing(server.client()) as admin:
        lives = set()
        for number in range(30):
            cache.set(f"key{number}", 1, 100)
            lives.add(round(admin.pttl(f"shop:key{number}") / 1000))
    assert 88 < min(lives) < max(lives) <= 100
    assert len(lives) > 3


def test_tags_end_all_their_entries(cache: Cache, server: ServerProcess) -> None:
    cache.set("a", 1, 60, tags=["user:5", "list"])
    cache.set("b", 2, 60, tags=["list"])
    cache.set("c", 3, 60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2, "c": 3}
    cache.invalidate("user:5")
    assert cache.get_many(["a", "b", "c"]) == {"b": 2, "c": 3}
    assert cache.get_or_compute("a", lambda: 4, 60, tags=["user:5"]) == 4
    assert cache.get_or_compute("a", lambda: 5, 60, tags=["user:5"]) == 4
    with closing(server.client()) as admin:  # a tag that was evicted ends its entries too
        admin.delete("shop:tag:{list}")
    assert cache.get_many(["a", "b", "c"]) == {"a": 4, "c": 3}


def test_a_corrupt_entry_is_a_miss(cache: Cache) -> None:
    for entry in (b"", b"nonsense", b"\x01{", b"\x02xx", b"\x03\x01\x00"):
        cache.commands(("SET", "shop:bad", entry))
        assert cache.get("bad") is None
        assert cache.get_or_compute("bad", lambda: 1, 60) == 1


def test_reads_fail_open_and_deletes_fail_loud() -> None:
    with Cache(f"redis://{HOST}:{free_port()}") as cache:
        assert cache.get("key", 5) == 5
        assert cache.get_many(["key"]) == {}
        assert not cache.set("key", 1)
        assert cache.get_or_compute("key", lambda: 7) == 7
        assert cache.breaker.is_open
        for remove in (cache.delete, cache.invalidate):
            with pytest.raises(errors.UnreachableError):
                remove("key")
        assert cache.statistics.errors >= 3


def test_a_stalled_server_costs_a_time_out_and_then_nothing(own_server: ServerProcess) -> None:
    with (
        Cache(own_server.url, read_timeout=0.1, connect_timeout=0.1) as cache,
        mock.patch.object(cache.breaker, "failed", wraps=cache.breaker.failed) as timed_out,
    ):
        wait_until(lambda: cache.set("key", 1, 3600))
        timed_out.reset_mock()
        own_server.pause()
        for _ in range(50):
            assert cache.get("key") is None
        assert timed_out.call_count < 10  # the breaker is open: the others don't wait for a time-out
        own_server.resume()
        wait_until(lambda: cache.get("key") == 1)


def test_what_the_server_refuses_leaves_the_breaker_closed(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin, Cache(own_server.url) as cache:
        cache.set("key", 1, 60)
        admin.config_set("maxmemory", "1mb")
        for _ in range(5):
            assert not cache.set("other", "x" * 100, 60)
        assert cache.get("key") == 1


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_asyncio_cache_has_the_same_methods(server: ServerProcess) -> None:
    computed = []

    async def slow() -> int:
        computed.append(1)
        await asyncio.sleep(0.2)
        return 42

    async def use() -> None:
        async with AsyncCache(server.url, max_connections=300, read_timeout=5, connect_timeout=5) as cache:
            callers = [asyncio.ensure_future(cache.get_or_compute("k", slow, 60)) for _ in range(200)]
            assert [await caller for caller in callers] == [42] * 200
            assert await cache.set("a", 1, 60, tags=["t"])
            assert await cache.set_many({"b": 2}, 60)
            assert await cache.get_many(["a", "b"]) == {"a": 1, "b": 2}
            await cache.invalidate("t")
            assert await cache.get("a") is None
            assert await cache.touch("b", 60) == 2
            assert await cache.delete("b") == 1
            assert await cache.commands(("ECHO", "hi")) == [b"hi"]

    asyncio.run(use())
    assert len(computed) == 1
    assert _public(Cache) <= _public(AsyncCache)


def test_a_cluster_holds_a_cache_on_all_nodes(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes, Cache(nodes[0].url, namespace="shop") as cache:
        values = {f"key{number}": number for number in range(60)}
        assert cache.set_many(values, 60)
        assert cache.get_many(values) == values
        assert cache.get_or_compute("one", lambda: 1, 60, tags=["t"]) == 1
        cache.invalidate("t")
        assert cache.get_or_compute("one", lambda: 2, 60, tags=["t"]) == 2
        assert cache.delete(*values) == 60


def test_without_a_server_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISABLE_REDIS", "1")
    with Cache() as cache:
        assert cache.get_or_compute("key", lambda: 7) == 7
        assert cache.get("key") is None
        with pytest.raises(errors.BreakerOpenError, match="DISABLE_REDIS"):
            cache.delete("key")


def test_constants_are_seconds() -> None:
    assert (ttl.SESSION_SECONDS, ttl.API_RESPONSE_SECONDS, ttl.LEADERBOARD_SECONDS) == (1800, 60, 86_400)


def test_entries_without_expiry(cache: Cache, server: ServerProcess) -> None:
    assert cache.set("set", 1, None, tags=["t"])
    assert cache.set_many({"many": 1}, None)
    assert cache.get_or_compute("computed", lambda: 1, None, stale=60, tags=["t"]) == 1
    assert cache.get_or_compute("touched", lambda: 1, 60, stale=60, tags=["u"]) == 1
    assert cache.touch("touched", None) == 1
    assert cache.get_or_compute("touched", lambda: 2, 60) == 1
    with closing(server.client()) as admin:
        assert {admin.pttl(key) for key in admin.scan_iter()} == {-1}
    cache.invalidate("t")
    assert cache.get_many(["set", "many", "computed", "touched"]) == {"many": 1, "touched": 1}


def test_empty_input_is_not_an_error(cache: Cache) -> None:
    cache.invalidate()
    assert (cache.get_many([]), cache.set_many({}), cache.delete()) == ({}, True, 0)
    assert cache.statistics.calls == 0


def test_a_tag_lives_as_long_as_its_entries(cache: Cache) -> None:
    cache.set("short", 1, 60, tags=["t"])
    cache.set("long", 1, 100 * 86_400, tags=["t"])
    cache.set("short", 1, 60, tags=["t"])
    assert cache.commands(("PTTL", "shop:tag:{t}"))[0] > 80 * 86_400_000


def test_tags_of_many_entries_are_read_in_one_round_trip(cache: Cache) -> None:
    for number in range(5):
        cache.set(f"key{number}", number, tags=[f"tag{number}", "all"])
    calls = cache.statistics.calls
    assert len(cache.get_many([f"key{number}" for number in range(5)])) == 5
    assert cache.statistics.calls == calls + 2
