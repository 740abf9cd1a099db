"""Who computes a value: one caller, however long it takes, and the next one when it fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from valkeykit import Cache, errors

from harness.ports import HOST, free_port
from harness.servers import ServerProcess
from harness.waiting import WAIT_SECONDS

ROOT = Path(__file__).parents[3]


def test_one_computes_and_the_others_wait(cache: Cache) -> None:
    computed = []

    def slow() -> int:
        computed.append(1)
        time.sleep(0.3)
        return 42

    with ThreadPoolExecutor(20) as pool:
        values = list(pool.map(lambda _: cache.get_or_compute("answer", slow, 60), range(20)))
    assert (values, len(computed)) == ([42] * 20, 1)


def test_one_computes_over_processes(server: ServerProcess) -> None:
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
    started, go_on = threading.Event(), threading.Event()

    def compute() -> int:
        started.set()
        go_on.wait(WAIT_SECONDS)
        return 2

    with ThreadPoolExecutor(1) as pool:
        computing = pool.submit(cache.get_or_compute, "price", compute, 60, stale=60)
        assert started.wait(WAIT_SECONDS)
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


def test_a_computed_none_is_kept_for_a_short_time(cache: Cache) -> None:
    assert cache.get_or_compute("user", lambda: None, 3600, negative_ttl=60) is None
    assert cache.get_or_compute("user", lambda: 1, 60) is None
    assert 0 < cache.commands(("PTTL", "shop:user"))[0] <= 60_000
    cache.delete("user")
    assert cache.get_or_compute("user", lambda: 1, 60) == 1


def test_a_value_that_was_deleted_while_it_was_computed_is_not_stored(cache: Cache) -> None:
    def compute() -> str:
        cache.delete("user")
        return "old"

    assert cache.get_or_compute("user", compute, 60) == "old"
    assert cache.get("user") is None


def test_a_lease_that_ends_lets_the_next_compute(cache: Cache) -> None:
    cache.commands(("SET", "shop:lease:{shop:k}", "dead worker", "PX", 100))
    assert cache.get_or_compute("k", lambda: 1, 60) == 1


def test_one_computes_however_long_it_takes(cache: Cache) -> None:
    computed = []

    def slow() -> int:
        computed.append(1)
        time.sleep(3.5)
        return 42

    with ThreadPoolExecutor(10) as pool:
        values = list(pool.map(lambda _: cache.get_or_compute("answer", slow, 60, lease=3), range(10)))
    assert (values, len(computed), cache.get("answer")) == ([42] * 10, 1, 42)


def test_one_caller_takes_over_from_a_process_that_was_killed(cache: Cache, server: ServerProcess) -> None:
    code = (
        "import sys, time\nfrom valkeykit import Cache\ncache = Cache(sys.argv[1], namespace='shop')\n"
        "cache.get_or_compute('k', lambda: print('computing', flush=True) or time.sleep(60), lease=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.url], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"computing\n"
        process.kill()
    computed = []

    def compute() -> int:
        computed.append(1)
        time.sleep(0.5)
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: cache.get_or_compute("k", compute, 60), range(8))) == [1] * 8
    assert len(computed) == 1


def test_a_forked_child_leaves_its_parents_lease_alone(server: ServerProcess) -> None:
    code = """
import os, sys, time
from valkeykit import Cache
cache = Cache(sys.argv[1], namespace="shop")
def compute():
    time.sleep(0.5)  # the thread that renews runs
    if child := os.fork():
        os.waitpid(child, 0)
        print(cache.commands(("EXISTS", "shop:lease:{shop:k}")), flush=True)
        return 1
    print(cache.get_or_compute("of the child", lambda: time.sleep(0.5) or 2, lease=0.3), flush=True)
    raise SystemExit
print(cache.get_or_compute("k", compute, lease=0.3))
"""
    command = [sys.executable, "-W", "ignore", "-c", code, server.url]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=WAIT_SECONDS, check=False)
    assert (result.stdout, result.stderr) == ("2\n[1]\n1\n", "")


@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_lease_is_released_whatever_is_raised(cache: Cache, error: type[BaseException]) -> None:
    def fails() -> int:
        raise error

    with pytest.raises(error):
        cache.get_or_compute("k", fails, lease=3600)
    assert cache.commands(("DBSIZE",)) == [0]


def test_what_cannot_be_stored_is_an_error_and_releases_the_lease(cache: Cache) -> None:
    for _ in range(2):
        with pytest.raises(errors.ConfigurationError, match="can't be cached"):
            cache.get_or_compute("k", object, lease=3600)
    assert cache.commands(("DBSIZE",)) == [0]


def test_a_lost_reply_leaves_no_lease(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.exceptions import ConnectionError as LostError
    from valkeykit.fast_connection import FastConnection

    cache.get_or_compute("other", lambda: 1)
    send = FastConnection.send
    lost: list[object] = []

    def lose_first(self: FastConnection, *command: object) -> object:
        answer = send(self, *command)
        if not lost:
            lost.append(answer)
            raise LostError
        return answer

    monkeypatch.setattr(FastConnection, "send", lose_first)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.get_or_compute, "k", lambda: 1, 60, lease=3600).result(WAIT_SECONDS) == 1
    assert (len(lost), cache.get("k")) == (1, 1)


def test_every_caller_gets_what_the_serializer_reads_back(cache: Cache) -> None:
    value: Any = {1: (1, 2)}
    dead = Cache(f"redis://{HOST}:{free_port()}")
    for any_cache in (cache, cache, dead):
        assert any_cache.get_or_compute("k", lambda: value) == {"1": [1, 2]}
    with pytest.raises(errors.ConfigurationError):
        dead.get_or_compute("k", object)


@pytest.mark.parametrize("stale", [0, 30, 300])
def test_none_is_kept_for_its_own_time_with_any_stale_period(cache: Cache, stale: float) -> None:
    computed: list[int] = []
    for _ in range(5):
        assert cache.get_or_compute("user", lambda: computed.append(1), 60, stale=stale) is None
    assert len(computed) == 1
    assert 0 < cache.commands(("PTTL", cache.key("user")))[0] <= 30_000


def test_an_entry_without_a_stale_period_is_fresh_to_its_end(cache: Cache) -> None:
    cache.set("user", 1, 60)
    assert cache.get_or_compute("user", lambda: 2, 60, stale=300) == 1


def test_a_stale_value_is_only_for_callers_that_accept_it(cache: Cache) -> None:
    cache.get_or_compute("price", lambda: 1, 0.05, stale=60)
    time.sleep(0.07)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("price", lambda: 1 // 0)
    assert cache.get_or_compute("price", lambda: 1 // 0, stale=60) == 1


def test_touch_makes_an_entry_fresh_again(cache: Cache) -> None:
    cache.get_or_compute("price", lambda: 1, 0.05, stale=300)
    time.sleep(0.07)
    assert cache.touch("price", 60) == 1
    assert cache.get_or_compute("price", lambda: 2, 60, stale=300) == 1


def test_a_computation_that_requests_its_own_key_does_not_wait(cache: Cache) -> None:
    with ThreadPoolExecutor(1) as pool:
        nested = pool.submit(cache.get_or_compute, "k", lambda: cache.get_or_compute("k", lambda: 1) + 1)
        assert nested.result(WAIT_SECONDS) == 2
    assert cache.get("k") == 2


def test_a_plain_cache_refuses_coroutines(cache: Cache) -> None:
    async def compute() -> int:
        return 1

    with pytest.raises(errors.ConfigurationError, match="use AsyncCache"):
        cache.get_or_compute("k", compute)  # type: ignore[unused-coroutine]
    assert cache.commands(("DBSIZE",)) == [0]
