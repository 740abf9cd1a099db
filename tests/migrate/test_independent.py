"""The independent comparison finds every kind of difference, so its silence means something."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.servers import ServerProcess
from tests.migrate import data, harness, independent

CHANGES: dict[str, Callable[[Any], object]] = {
    "a missing key": lambda client: client.delete("string"),
    "an unexpected key": lambda client: client.set("more", 1),
    "another type": lambda client: (client.delete("string"), client.rpush("string", "v")),
    "a string": lambda client: client.append("string", "x"),
    "the order of a list": lambda client: client.rpush("list", client.lpop("list")),
    "a set": lambda client: client.sadd("set", "one more"),
    "a score": lambda client: client.zadd("zset", {"a": 1.5}),
    "a field": lambda client: client.hset("hash", "a", "other"),
    "an expiry time": lambda client: client.pexpire("ends", data.DAY // 2),
    "a lost expiry time": lambda client: client.persist("ends"),
    "an entry": lambda client: client.xadd("stream", {"f": 1}),
    "an acknowledged entry": lambda client: client.xack("stream", "group", "1-1"),
    "a position of a group": lambda client: client.xgroup_setid("stream", "group", "1-1"),
    "a consumer": lambda client: client.xgroup_createconsumer("stream", "group", "bob"),
    "an owner of a pending entry": lambda client: client.xclaim("stream", "group", "bob", 0, ["1-1"]),
    "a key of another database": lambda client: (client.select(3), client.set("three", "other"), client.select(0)),
    "a library": lambda client: client.function_load("#!lua name=x\nredis.register_function('x', function() end)\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_difference_is_found(
    change: Callable[[Any], object], old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any
) -> None:
    for client in (ours, theirs):
        client.mset({"string": "v"})
        client.rpush("list", "a", "b")
        client.sadd("set", "a", 2, 3)
        client.zadd("zset", {"a": 1, "b": float("inf"), "c": 1e-5})
        client.hset("hash", mapping={"a": 1, "b": 2})
        client.set("ends", 1, pxat=99_999_999_999_999)
        for number in (1, 2):
            client.xadd("stream", {"f": "v"}, id=f"{number}-1")
        client.xgroup_create("stream", "group", "0")
        client.xreadgroup("group", "ada", {"stream": ">"})
        client.select(3)
        client.set("three", 3)
        client.select(0)
    assert independent.differences([old.port], [new.port]) == []
    change(theirs)
    assert len(independent.differences([old.port], [new.port])) == 1


def test_every_type_after_a_migration(old: ServerProcess, new: ServerProcess, ours: Any, state: Path) -> None:
    data.fill(ours, random.Random(21), 300)
    assert harness.migrate(old.url, new.url, state).complete
    assert independent.differences([old.port], [new.port]) == []
