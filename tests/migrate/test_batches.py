"""Small values that another version encodes differently are compared in batches, and their differences are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from valkeykit_ops.migrate.options import Options

from harness.servers import ServerProcess
from tests.migrate import data, harness, independent

ONE_AT_A_TIME = ("strlen", "llen", "scard", "zcard", "hlen")
"""Commands of the comparison of a single key."""

CHANGES: dict[str, Callable[[Any], object]] = {
    "list:1": lambda client: client.lset("list:1", 0, "other"),
    "set:1": lambda client: (client.srem("set:1", "a"), client.sadd("set:1", "other")),
    "zset:1": lambda client: client.zadd("zset:1", {"a": 7}),
    "hash:1": lambda client: client.hset("hash:1", "a", "other"),
}


def test_values_of_another_encoding(new: ServerProcess, theirs: Any, state: Path, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-6.2") as source, data.raw(source.port) as client:
        for number in range(50):
            client.rpush(f"list:{number}", "a", "b", 3)
            client.sadd(f"set:{number}", "a", "b", "c")
            client.zadd(f"zset:{number}", {"a": 1, "b": 1e-5, "c": float("inf")})
            client.hset(f"hash:{number}", mapping={"a": 1, "b": 2})
        assert harness.migrate(source.url, new.url, state).complete
        used = client.info("commandstats")
        assert not [name for name in ONE_AT_A_TIME if f"cmdstat_{name}" in used]
        assert {client.dump(name)[:-10] == theirs.dump(name)[:-10] for name in CHANGES} == {False}
        assert independent.differences([source.port], [new.port], plain=True) == []
        for change in CHANGES.values():
            change(theirs)
        with harness.prepared(source.url, new.url, state, Options()) as migration:
            verified = migration.verify().verification
        assert verified is not None
        assert sorted(one.key.decode() for one in verified.differences) == sorted(CHANGES)
