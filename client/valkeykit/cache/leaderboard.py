"""Leaderboards: members by score, the highest first."""

from __future__ import annotations

from typing import Any, NamedTuple

from valkeykit.cache.cache import Cache
from valkeykit.cache.ttl import LEADERBOARD, milliseconds


class Place(NamedTuple):
    """rank: 1 for the first."""

    rank: int
    member: str
    score: float


class Leaderboard:
    """A board in a cache; it ends `ttl` seconds after the last change. Each method is one round trip and fails loud."""

    def __init__(self, cache: Cache, name: str, ttl: float = LEADERBOARD) -> None:
        self._cache = cache
        self._key = cache.key(f"board:{name}")
        self._life = milliseconds(ttl)

    def add(self, member: str, score: float) -> None:
        """Set a member's score."""
        self._cache.commands(("ZADD", self._key, score, member), self._alive())

    def increment(self, member: str, by: float = 1) -> float:
        """Raise a member's score; returns what it is then."""
        score, _ = self._cache.commands(("ZINCRBY", self._key, by, member), self._alive())
        return float(score)

    def remove(self, member: str) -> bool:
        """Take a member off the board; False where it wasn't on it."""
        return bool(self._cache.commands(("ZREM", self._key, member))[0])

    def top(self, number: int = 10) -> list[Place]:
        """The first places."""
        (found,) = self._cache.commands(("ZRANGE", self._key, 0, number - 1, "REV", "WITHSCORES"))
        return _places(found, 1)

    def rank(self, member: str) -> int | None:
        """A member's rank, 1 for the first; None where it isn't on the board."""
        (rank,) = self._cache.commands(("ZREVRANK", self._key, member))
        return None if rank is None else int(rank) + 1

    def around(self, member: str, number: int = 2) -> list[Place]:
        """A member's place and up to `number` before and behind it; none where it isn't on the board."""
        rank = self.rank(member)
        if rank is None:
            return []
        first = max(0, rank - 1 - number)
        (found,) = self._cache.commands(("ZRANGE", self._key, first, rank - 1 + number, "REV", "WITHSCORES"))
        return _places(found, first + 1)

    def _alive(self) -> tuple[Any, ...]:
        return ("PEXPIRE", self._key, self._life)


def _places(found: list[Any], first: int) -> list[Place]:
    """RESP3 gives pairs, RESP2 a flat list; redis-py makes pairs of both."""
    return [Place(rank, member.decode(), float(score)) for rank, (member, score) in enumerate(found, first)]
