"""Reading does not count as use, and what servers evict by is carried over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that supports CLIENT NO-TOUCH."""
    with harness.started(tmp_path_factory.mktemp("source"), "valkey-8.1") as server:
        yield server


@pytest.fixture
def evicting(source: ServerProcess, theirs: Any) -> Iterator[Any]:
    """A client of the source, which evicts by use, as the target does."""
    with data.raw(source.port) as client:
        client.flushall()
        for one in (client, theirs):
            one.config_set("maxmemory-policy", "allkeys-lru")
        yield client
        theirs.config_set("maxmemory-policy", "noeviction")


def test_idle_times(evicting: Any, source: ServerProcess, new: ServerProcess, theirs: Any, state: Path) -> None:
    evicting.set("small", 1)
    evicting.rpush("large", *range(2000))
    wait_until(lambda: evicting.object("idletime", "small") >= 2, problem="the key is not idle")
    assert harness.migrate(source.url, new.url, state, chunk_above=2000).complete
    assert theirs.dbsize() == 2
    assert evicting.object("idletime", "small") >= 2
    assert evicting.object("idletime", "large") >= 2
    assert theirs.object("idletime", "small") >= 2


def test_idle_times_of_a_source_where_reading_counts_as_use(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    """They are read before the copy resets them, and nothing resets them before."""
    ours.config_set("maxmemory-policy", "allkeys-lru")
    try:
        ours.set("a", 1)
        wait_until(lambda: ours.object("idletime", "a") >= 2, problem="the key is not idle")
        assert harness.plan(old.url, new.url, state.with_name("plan")).is_go
        assert ours.object("idletime", "a") >= 2
        assert harness.migrate(old.url, new.url, state).complete
        assert theirs.object("idletime", "a") >= 2
    finally:
        ours.config_set("maxmemory-policy", "noeviction")


def test_frequencies(evicting: Any, source: ServerProcess, new: ServerProcess, theirs: Any, state: Path) -> None:
    for client in (evicting, theirs):
        client.config_set("maxmemory-policy", "allkeys-lfu")
        client.config_set("lfu-decay-time", 0)
    evicting.mset({"hot": 1, "cold": 1})
    for _ in range(300):
        evicting.get("hot")
    used = {name: evicting.object("freq", name) for name in ("hot", "cold")}
    assert used["hot"] > used["cold"]
    assert harness.migrate(source.url, new.url, state).complete
    assert {name: evicting.object("freq", name) for name in used} == used
    assert {name: theirs.object("freq", name) for name in used} == used


def test_a_policy_that_the_target_does_not_keep(
    evicting: Any, source: ServerProcess, new: ServerProcess, state: Path
) -> None:
    evicting.set("a", 1)
    evicting.config_set("maxmemory-policy", "allkeys-lfu")
    check = next(check for check in harness.plan(source.url, new.url, state).checks if check.name == "key usage")
    assert check.ok is None
    assert check.fix == "at the target, until the cut-over: CONFIG SET maxmemory 0 maxmemory-policy allkeys-lfu"
    assert harness.migrate(source.url, new.url, state).complete
