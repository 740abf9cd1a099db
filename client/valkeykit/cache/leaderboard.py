"""Leaderboards: members by score, the highest first."""

from __future__ import annotations

from typing import Any, NamedTuple

from valkeykit.cache.acache import AsyncCache
from valkeykit.cache.base import CacheBase
from valkeykit.cache.cache import Cache
from valkeykit.cache.effects import Effects, Send
from valkeykit.cache.keys import escape
from valkeykit.cache.ttl import LEADERBOARD_SECONDS, expiry
from valkeykit.cache.validation import check_count, check_text
from valkeykit.errors import ConfigurationError, shown
from valkeykit.settings import is_number

_HIGHEST = 1.7976931348623157e308


class RankedMember(NamedTuple):
    """A member of a leaderboard.

    Attributes:
        rank: Its position, 1 for the highest score.
        member: Its name.
        score: Its score.
    """

    rank: int
    member: str
    score: float


class _Board:
    """The operations on a board as effects, which the two classes below run."""

    def __init__(self, cache: CacheBase, name: str, ttl: float | None) -> None:
        self._key = cache._operations.keys.own("board", escape("name", name))
        self._life = expiry(ttl)

    def add(self, member: str, score: float) -> Effects[None]:
        yield _send(("ZADD", self._key, _score("score", score), _member(member)), self._alive())

    def increment(self, member: str, by: float) -> Effects[float]:
        score, _ = yield _send(("ZINCRBY", self._key, _score("by", by), _member(member)), self._alive())
        return float(score)

    def remove(self, member: str) -> Effects[bool]:
        (removed,) = yield _send(("ZREM", self._key, _member(member)))
        return bool(removed)

    def top(self, number: int) -> Effects[list[RankedMember]]:
        if check_count("number", number) == 0:  # ZRANGE 0 -1 would return all
            return []
        return (yield from self.by_rank(1, number))

    def by_rank(self, first: int, last: int) -> Effects[list[RankedMember]]:
        """From rank `first` to rank `last`, both included."""
        (rows,) = yield _send(("ZRANGE", self._key, first - 1, last - 1, "REV", "WITHSCORES"))
        # RESP3 gives pairs, RESP2 a flat list; redis-py makes pairs of both.
        return [RankedMember(rank, member.decode(), float(score)) for rank, (member, score) in enumerate(rows, first)]

    def rank(self, member: str) -> Effects[int | None]:
        (rank,) = yield _send(("ZREVRANK", self._key, _member(member)))
        return None if rank is None else int(rank) + 1

    def around(self, member: str, number: int) -> Effects[list[RankedMember]]:
        check_count("number", number)
        rank = yield from self.rank(member)
        if rank is None:
            return []
        return (yield from self.by_rank(max(1, rank - number), rank + number))

    def _alive(self) -> tuple[Any, ...]:
        return ("PERSIST", self._key) if self._life is None else ("PEXPIRE", self._key, self._life)


def _send(*commands: tuple[Any, ...]) -> Send:
    return Send(list(commands), bypass_breaker=True, no_resend=True)


def _score(name: str, value: float) -> float:
    if not is_number(value) or not -_HIGHEST <= value <= _HIGHEST:
        raise ConfigurationError(f"{name} is {shown(value)}, expected a finite number", fix=f"pass {name}=10")
    return value


def _member(member: str) -> str:
    check_text("member", member)
    try:
        member.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"the member is {shown(member)}, expected valid Unicode", fix="remove lone surrogates"
        ) from None
    return member


class Leaderboard:
    """A leaderboard in a cache. Errors of the server are raised, and a change is sent once."""

    def __init__(self, cache: Cache, name: str, ttl: float | None = LEADERBOARD_SECONDS) -> None:
        """Check the arguments; nothing is sent.

        Args:
            cache: Where the board is stored.
            name: Text of 1 to 1024 characters.
            ttl: Seconds from the last change until the board expires; None for no expiry.

        Raises:
            ConfigurationError: The name or the TTL can't be used.

        Example:
            >>> board = Leaderboard(cache, "weekly")
            >>> board.increment("ann", 10)
            10.0
        """
        self._run = cache.run
        self._board = _Board(cache, name, ttl)

    def add(self, member: str, score: float) -> None:
        """Set a member's score.

        Args:
            member: Text of 1 to 1024 characters.
            score: A finite number.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        self._run(self._board.add(member, score))

    def increment(self, member: str, by: float = 1) -> float:
        """Increment a member's score.

        Args:
            member: Text of 1 to 1024 characters.
            by: A finite number, which may be negative.

        Returns:
            The new score.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return self._run(self._board.increment(member, by))

    def remove(self, member: str) -> bool:
        """Remove a member.

        Args:
            member: Text of 1 to 1024 characters.

        Returns:
            False if it was not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return self._run(self._board.remove(member))

    def top(self, number: int = 10) -> list[RankedMember]:
        """List the members with the highest scores.

        Args:
            number: How many members, at most.

        Returns:
            The members, the highest score first.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return self._run(self._board.top(number))

    def rank(self, member: str) -> int | None:
        """Find a member's rank.

        Args:
            member: Text of 1 to 1024 characters.

        Returns:
            1 for the highest score; None if it is not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return self._run(self._board.rank(member))

    def around(self, member: str, number: int = 2) -> list[RankedMember]:
        """List a member and its neighbors.

        Args:
            member: Text of 1 to 1024 characters.
            number: How many neighbors on each side, at most.

        Returns:
            The members in order; an empty list if the member is not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return self._run(self._board.around(member, number))


class AsyncLeaderboard:
    """A leaderboard in an AsyncCache, as Leaderboard is one in a Cache."""

    def __init__(self, cache: AsyncCache, name: str, ttl: float | None = LEADERBOARD_SECONDS) -> None:
        """Check the arguments; nothing is sent.

        Args:
            cache: Where the board is stored.
            name: Text of 1 to 1024 characters.
            ttl: Seconds from the last change until the board expires; None for no expiry.

        Raises:
            ConfigurationError: The name or the TTL can't be used.
        """
        self._run = cache.run
        self._board = _Board(cache, name, ttl)

    async def add(self, member: str, score: float) -> None:
        """Set a member's score.

        Args:
            member: Text of 1 to 1024 characters.
            score: A finite number.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        await self._run(self._board.add(member, score))

    async def increment(self, member: str, by: float = 1) -> float:
        """Increment a member's score.

        Args:
            member: Text of 1 to 1024 characters.
            by: A finite number, which may be negative.

        Returns:
            The new score.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return await self._run(self._board.increment(member, by))

    async def remove(self, member: str) -> bool:
        """Remove a member.

        Args:
            member: Text of 1 to 1024 characters.

        Returns:
            False if it was not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return await self._run(self._board.remove(member))

    async def top(self, number: int = 10) -> list[RankedMember]:
        """List the members with the highest scores.

        Args:
            number: How many members, at most.

        Returns:
            The members, the highest score first.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return await self._run(self._board.top(number))

    async def rank(self, member: str) -> int | None:
        """Find a member's rank.

        Args:
            member: Text of 1 to 1024 characters.

        Returns:
            1 for the highest score; None if it is not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return await self._run(self._board.rank(member))

    async def around(self, member: str, number: int = 2) -> list[RankedMember]:
        """List a member and its neighbors.

        Args:
            member: Text of 1 to 1024 characters.
            number: How many neighbors on each side, at most.

        Returns:
            The members in order; an empty list if the member is not on the board.

        Raises:
            ConfigurationError: An argument can't be used.
            ValkeykitError: The server is unavailable.
        """
        return await self._run(self._board.around(member, number))
