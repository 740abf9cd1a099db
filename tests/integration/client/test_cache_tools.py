"""Sessions and leaderboards, which are built on the cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from valkeykit import AsyncCache, Cache, errors
from valkeykit.cache import AsyncLeaderboard, AsyncSessions, Leaderboard, Sessions

from harness.ports import HOST, free_port
from harness.servers import ServerProcess

ID = "x" * 32
UNTRUSTED: list[Any] = [
    "", "x", ID + "\n", ID[1:] + "\0", "*" * 32, "é" * 32, "\ud800" * 32, "{}" * 16, "x" * 10_000_000, ":" * 32,
    None, 5, 1.5, True, ID.encode(), [ID], {"id": ID}, object(),
]  # fmt: skip
"""What may come in a cookie instead of an id."""


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


def test_boards_and_sessions_for_asyncio(server: ServerProcess) -> None:
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
    sessions = Sessions(cache, ttl=100)
    session = sessions.create({"user": 5})
    key = f"shop:session:{{{session}}}"
    cache.commands(("PEXPIRE", key, 50_000))
    assert sessions.read(session) == {"user": 5}
    assert 50_000 < cache.commands(("PTTL", key))[0] <= 100_000
    assert sessions.end(session)
    assert sessions.read(session) is None
    assert not sessions.end(session)
    with Cache(f"redis://{HOST}:{free_port()}") as dead, pytest.raises(errors.UnreachableError):
        Sessions(dead).create({})


def test_ids_that_no_session_has(cache: Cache, server: ServerProcess) -> None:
    sessions = Sessions(cache)
    for session in [*UNTRUSTED, ID]:
        assert sessions.read(session) is None
        assert not sessions.write(session, {})
        assert not sessions.end(session)

    async def use() -> None:
        async with AsyncCache(server.url) as other:
            sessions = AsyncSessions(other)
            for session in [*UNTRUSTED, ID]:
                assert await sessions.read(session) is None
                assert not await sessions.write(session, {})
                assert not await sessions.end(session)

    asyncio.run(use())
    assert cache.commands(("DBSIZE",)) == [0]
    dead = Sessions(Cache(f"redis://{HOST}:{free_port()}"))
    for session in UNTRUSTED:
        assert dead.read(session) is None
        assert not dead.end(session)


def test_a_session_that_has_ended_stays_ended(cache: Cache, server: ServerProcess) -> None:
    sessions = Sessions(cache)
    session = sessions.create({"user": 5})
    assert sessions.write(session, {"user": 6})
    assert sessions.read(session) == {"user": 6}
    assert sessions.end(session)
    assert not sessions.write(session, {"user": 7})
    assert sessions.read(session) is None

    async def use() -> None:
        async with AsyncCache(server.url) as other:
            sessions = AsyncSessions(other)
            session = await sessions.create({"user": 5})
            assert await sessions.write(session, {"user": 6})
            assert await sessions.end(session)
            assert not await sessions.write(session, {"user": 7})
            assert await sessions.read(session) is None

    asyncio.run(use())


def test_a_board_may_have_no_end(cache: Cache) -> None:
    Leaderboard(cache, "all time").add("ada", 1)
    Leaderboard(cache, "all time", ttl=None).add("ada", 2)
    assert cache.commands(("PTTL", "shop:board:{all time}")) == [-1]
