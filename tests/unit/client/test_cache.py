"""The cache on a real server."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from valkeykit import AsyncCache, Cache, errors
from valkeykit.cache import MISSING, AsyncLeaderboard, AsyncSessions, Leaderboard, Sessions, ttl

from tests import servers
from tests.servers import Server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cache(server: Server) -> Iterator[Cache]:
    with Cache(server.url, namespace="shop") as cache:
        yield cache


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


def test_big_values_are_compressed_and_any_serializer_fits(server: Server) -> None:
    with Cache(server.url, serializer=pickle) as cache, closing(server.client()) as admin:
        cache.set("big", "x" * 100_000, 60)
        assert cache.get("big") == "x" * 100_000
        assert admin.strlen("big") < 1000
        cache.set("set", {1, 2}, 60)
        assert cache.get("set") == {1, 2}


def test_time_to_live_is_jittered_and_never_longer(cache: Cache, server: Server) -> None:
    with closing(server.client()) as admin:
        lives = set()
        for number in range(30):
            cache.set(f"key{number}", 1, 100)
            lives.add(round(admin.pttl(f"shop:key{number}") / 1000))
    assert 88 < min(lives) < max(lives) <= 100
    assert len(lives) > 3


def test_one_computes_and_the_others_wait(cache: Cache) -> None:
    computed = []

    def slow() -> int:
        computed.append(1)
        time.sleep(0.3)
        return 42

    with ThreadPoolExecutor(20) as pool:
        values = list(pool.map(lambda _: cache.get_or_compute("answer", slow, 60), range(20)))
    assert (values, len(computed)) == ([42] * 20, 1)


def test_one_computes_over_processes(server: Server) -> None:
    code = (
        "import sys, time\nfrom valkeykit import Cache\ncache = Cache(sys.argv[1])\n"
        "def slow():\n    time.sleep(0.5)\n    cache.commands(('INCR', 'computed'))\n    return 1\n"
        "print(cache.get_or_compute('k', slow, 60))\ncache.close()\n"
    )
    command = [sys.executable, "-c", code, server.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == [b"1\n"] * 3
    with closing(server.client()) as admin:
        assert admin.get("computed") == "1"


def test_others_get_the_stale_value_while_one_computes(cache: Cache) -> None:
    cache.get_or_compute("price", lambda: 1, 0.05, stale=60)
    time.sleep(0.07)
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        computing = pool.submit(cache.get_or_compute, "price", lambda: go_on.wait(5) and 2, 60, stale=60)
        time.sleep(0.1)
        assert cache.get_or_compute("price", lambda: 3, 60, stale=60) == 1
        go_on.set()
        assert computing.result() == 2
    assert cache.get("price") == 2


def test_a_failed_computation_gives_the_stale_value_or_its_error(cache: Cache) -> None:
    def fails() -> int:
        raise LookupError("no price")

    cache.get_or_compute("price", lambda: 1, 0.05, stale=60)
    time.sleep(0.07)
    assert cache.get_or_compute("price", fails, 60, stale=60) == 1
    with pytest.raises(LookupError):
        cache.get_or_compute("none", fails, 60)
    assert cache.get_or_compute("none", lambda: 5, 60) == 5


def test_that_there_is_nothing_is_kept_for_a_short_time(cache: Cache) -> None:
    assert cache.get_or_compute("user", lambda: None, 60, negative_ttl=0.05) is None
    assert cache.get_or_compute("user", lambda: 1, 60) is None
    time.sleep(0.07)
    assert cache.get_or_compute("user", lambda: 1, 60) == 1


def test_a_value_that_was_deleted_while_it_was_computed_is_not_stored(cache: Cache) -> None:
    def compute() -> str:
        cache.delete("user")
        return "old"

    assert cache.get_or_compute("user", compute, 60) == "old"
    assert cache.get("user") is None


def test_a_lease_that_ends_lets_the_next_compute(cache: Cache) -> None:
    cache.commands(("SET", "lease:{shop:k}", "dead worker", "PX", 100))
    assert cache.get_or_compute("k", lambda: 1, 60) == 1


def test_tags_end_all_their_entries(cache: Cache, server: Server) -> None:
    cache.set("a", 1, 60, tags=["user:5", "list"])
    cache.set("b", 2, 60, tags=["list"])
    cache.set("c", 3, 60)
    assert cache.get_many("abc") == {"a": 1, "b": 2, "c": 3}
    cache.invalidate("user:5")
    assert cache.get_many("abc") == {"b": 2, "c": 3}
    assert cache.get_or_compute("a", lambda: 4, 60, tags=["user:5"]) == 4
    assert cache.get_or_compute("a", lambda: 5, 60, tags=["user:5"]) == 4
    with closing(server.client()) as admin:  # a tag that was evicted ends its entries too
        admin.delete("shop:tag:list")
    assert cache.get_many("abc") == {"a": 4, "c": 3}


def test_namespaces_are_apart_and_braces_are_no_hash_tags(server: Server) -> None:
    with Cache(server.url, namespace="one") as one, Cache(server.url, namespace="two") as two:
        one.set("{k}", 1, 60)
        assert (one.get("{k}"), two.get("{k}"), one.key("{k}")) == (1, None, "one:%7Bk%7D")
        assert one.get_or_compute("a{b}c", lambda: 2, 60) == 2


def test_a_corrupt_entry_is_a_miss(cache: Cache) -> None:
    for entry in (b"", b"nonsense", b"\x01{", b"\x02xx", b"\x03\x01\x00"):
        cache.commands(("SET", "shop:bad", entry))
        assert cache.get("bad") is None
        assert cache.get_or_compute("bad", lambda: 1, 60) == 1


def test_reads_fail_open_and_deletes_fail_loud() -> None:
    with Cache(f"redis://{servers.HOST}:{servers.free_port()}") as cache:
        assert cache.get("key", 5) == 5
        assert cache.get_many(["key"]) == {}
        assert not cache.set("key", 1)
        assert cache.get_or_compute("key", lambda: 7) == 7
        assert cache.breaker.is_open
        for remove in (cache.delete, cache.invalidate):
            with pytest.raises(errors.UnreachableError):
                remove("key")
        assert cache.statistics.errors >= 3


def test_a_stalled_server_costs_a_time_out_and_then_nothing(own_server: Server) -> None:
    with Cache(own_server.url, read_timeout=0.1, connect_timeout=0.1) as cache:
        cache.set("key", 1, 60)
        own_server.pause()
        began = time.monotonic()
        for _ in range(50):
            assert cache.get("key") is None
        assert time.monotonic() - began < 4  # five time-outs, not fifty: five seconds
        own_server.resume()
        time.sleep(2.1)
        assert cache.get("key") == 1


def test_what_the_server_refuses_leaves_the_breaker_closed(own_server: Server) -> None:
    with closing(own_server.client()) as admin, Cache(own_server.url) as cache:
        cache.set("key", 1, 60)
        admin.config_set("maxmemory", "1mb")
        for _ in range(5):
            assert not cache.set("other", "x" * 100, 60)
        assert cache.get("key") == 1


@pytest.mark.parametrize(
    ("key", "value", "life"),
    [
        ("", 1, 60),
        ("x" * 2000, 1, 60),
        ("k", object(), 60),
        ("k", 1, 0),
        ("k", 1, -5),
        ("k", 1, float("nan")),
        ("k", 1, "1"),
    ],
)
def test_bad_input_is_an_error_even_so(cache: Cache, key: str, value: Any, life: Any) -> None:
    with pytest.raises(errors.ConfigurationError):
        cache.set(key, value, life)


def test_a_leaderboard(cache: Cache) -> None:
    board = Leaderboard(cache, "today")
    for number in range(10):
        board.add(f"p{number}", number)
    assert board.increment("p0", 20) == 20
    assert [(place.rank, place.member) for place in board.top(3)] == [(1, "p0"), (2, "p9"), (3, "p8")]
    assert [(place.rank, place.member) for place in board.around("p9", 1)] == [(1, "p0"), (2, "p9"), (3, "p8")]
    assert [place.member for place in board.around("p1", 2)] == ["p3", "p2", "p1"]
    assert (board.rank("p1"), board.rank("nobody"), board.around("nobody")) == (10, None, [])
    assert board.remove("p1")
    assert not board.remove("p1")


def test_boards_and_sessions_for_asyncio(server: Server) -> None:
    async def use() -> None:
        async with AsyncCache(server.url) as cache:
            board = AsyncLeaderboard(cache, "today")
            await board.add("ada", 50)
            await board.add("bob", 10)
            assert await board.increment("bob", 45) == 55
            assert [place.member for place in await board.top(1)] == ["bob"]
            assert (await board.rank("ada"), await board.rank("nobody")) == (2, None)
            assert [place.member for place in await board.around("ada", 5)] == ["bob", "ada"]
            assert await board.remove("bob")
            sessions = AsyncSessions(cache)
            session = await sessions.create({"user": 5})
            assert await sessions.read(session) == {"user": 5}
            assert await sessions.end(session)
            assert await sessions.read(session) is None

    asyncio.run(use())
    for one, other in ((Leaderboard, AsyncLeaderboard), (Sessions, AsyncSessions)):
        assert _public(one) == _public(other)


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_sessions_slide(cache: Cache) -> None:
    sessions = Sessions(cache, ttl=0.2)
    session = sessions.create({"user": 5})
    for _ in range(3):
        time.sleep(0.12)
        assert sessions.read(session) == {"user": 5}
    assert sessions.end(session)
    assert sessions.read(session) is None
    assert not sessions.end(session)
    with Cache(f"redis://{servers.HOST}:{servers.free_port()}") as dead, pytest.raises(errors.UnreachableError):
        Sessions(dead).create({})


def test_the_asyncio_cache_has_the_same_methods(server: Server) -> None:
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
    assert (ttl.SESSION, ttl.API_RESPONSE, ttl.LEADERBOARD) == (1800, 60, 86_400)
