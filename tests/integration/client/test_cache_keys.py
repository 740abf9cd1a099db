"""Names on the server: none is another's, all begin with their namespace."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot
from valkeykit import Cache, errors
from valkeykit.cache import Leaderboard, Sessions
from valkeykit.cache.keys import Keys, Kind, escape

from harness import servers
from harness.servers import ServerProcess

TEXT = st.text(st.sampled_from("ab:{}%7BD\x00\n\ud800é") | st.characters(), min_size=1, max_size=8)
NAMES = st.tuples(TEXT, TEXT)

COMMANDS = "+get +set +del +getex +pexpire +pttl +persist +eval +evalsha"
CLUSTER = "+cluster|slots +command +info"
BOARDS = "+zadd +zincrby +zrem +zrange +zrevrank"
"""What docs/client/cache.md lists as needed permissions."""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow
@given(NAMES, NAMES)
@example(("a", "b:c"), ("a:b", "c"))
@example(("a", ":b"), ("a:", "b"))
@example(("a", "::b"), ("a:", "b"))
@example(("a", "{"), ("a", "%7B"))
@example(("a", "\n"), ("a", "%0A"))
@example(("a", "\ud83d\ude00"), ("a", "😀"))
def test_no_two_names_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    if one != other:
        assert Keys(one[0]).entry(one[1]) != Keys(other[0]).entry(other[1])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXT, st.just("") | TEXT, st.just("") | TEXT)
def test_no_entry_is_a_key_of_the_cache_itself(name: str, namespace: str, other: str) -> None:
    keys = Keys(namespace)
    own = {keys.own(kind, escape("name", name)) for kind in get_args(Kind)}
    assert len(own) == len(get_args(Kind))
    for key in own:
        assert Keys(other).entry(name) != key
        assert "{" not in Keys(other).entry(key)
    lease = keys.own("lease", keys.entry(name))
    assert key_slot(lease.encode()) == key_slot(keys.entry(name).encode())


def test_ordinary_names_stay_readable() -> None:
    assert Keys("shop").entry("user:5") == "shop:user:5"
    assert Keys("shop:v2").entry("user:5") == "shop:v2::user:5"
    assert Keys().entry("page:/q?x=1&y=é") == "page:/q?x=1&y=é"
    assert Keys("shop").entry("a{b}%") == "shop:a%7Bb%7D%25"


def test_any_text_is_a_key_of_its_own(cache: Cache) -> None:
    names = ["{", "%7B", "a{b}c", "a%7Bb}c", "\ud800", "\n", "\0", ":a", "a::b", "tag:prices", "lease:{k}", "😀", " "]
    for number, name in enumerate(names):
        assert cache.set(name, number, tags=[name, "all"])
    assert cache.get_many(names) == {name: number for number, name in enumerate(names)}
    assert [cache.get_or_compute(name, lambda: -1) for name in names] == list(range(len(names)))
    for name in names:
        assert cache.delete(name) == 1


def test_a_users_keys_are_apart_from_tags_sessions_and_boards(cache: Cache) -> None:
    cache.set("price", 1, tags=["prices"])
    sessions, board = Sessions(cache), Leaderboard(cache, "today")
    session = sessions.create({"user": 5})
    board.add("ada", 1)
    for name in ("tag:prices", "tag:{prices}", f"session:{session}", f"session:{{{session}}}", "board:today"):
        assert cache.get(name) is None
        assert cache.set(name, "x")
    assert (cache.get("price"), sessions.read(session), board.rank("ada")) == (1, {"user": 5}, 1)


def test_namespaces_are_apart(server: ServerProcess) -> None:
    with Cache(server.url, namespace="a") as one, Cache(server.url, namespace="a:b") as other:
        one.set("b:c", 1, tags=["t"])
        other.set("c", 2, tags=["t"])
        one.invalidate("t")
        assert (one.get("b:c"), other.get("c")) == (None, 2)


def allow(admin: redis.Redis, rule: str) -> None:
    admin.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">password", *rule.split())


@pytest.mark.parametrize("namespace", ["shop", "shop:v2"])
def test_the_documented_permissions_suffice(server: ServerProcess, namespace: str) -> None:
    with closing(server.client()) as admin:
        allow(admin, f"~{namespace}:* -@all {COMMANDS} {BOARDS}")
        try:
            with Cache(server.url.replace("//", "//shop:password@"), namespace=namespace) as cache:
                assert cache.set("a", 1, None, tags=["t"])
                assert cache.set_many({"b": 2})
                assert cache.get_many(["a", "b"]) == {"a": 1, "b": 2}
                assert [cache.get_or_compute("c", lambda: 3, stale=60, tags=["t"]) for _ in range(2)] == [3, 3]
                assert (cache.touch("c", 60), cache.touch("c", None)) == (3, 3)
                cache.invalidate("t")
                assert cache.get_or_compute("c", lambda: 4, tags=["t"]) == 4
                assert cache.delete("a", "b", "c") == 3
                sessions, board = Sessions(cache), Leaderboard(cache, "today")
                session = sessions.create({})
                assert (sessions.write(session, {}), sessions.read(session), sessions.end(session)) == (True, {}, True)
                board.add("ada", 1)
                assert board.increment("ada") == 2
                assert (len(board.top()), len(board.around("ada")), board.remove("ada")) == (1, 1, True)
                assert (cache.statistics.errors, cache.statistics.computed) == (0, 2)
                with pytest.raises(errors.NotPermittedError):
                    cache.commands(("GET", "other:a"))
        finally:
            admin.execute_command("ACL", "DELUSER", "shop")
        assert {key.startswith(f"{namespace}:") for key in admin.scan_iter()} <= {True}


def test_the_documented_permissions_suffice_in_a_cluster(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes:
        for node in nodes:
            with closing(node.client()) as admin:
                allow(admin, f"~shop:* -@all {COMMANDS} {CLUSTER}")
        with Cache(nodes[0].url.replace("//", "//shop:password@"), namespace="shop") as cache:
            values = {f"key{number}": number for number in range(20)}
            assert cache.set_many(values)
            assert cache.get_many(values) == values
            for _ in range(2):
                assert [cache.get_or_compute(f"{{a}}{n}", lambda: 1, stale=60, tags=["t"]) for n in range(9)] == [1] * 9
            assert cache.delete(*values) == 20
            assert (cache.statistics.errors, cache.statistics.computed) == (0, 9)
