"""Login sessions: random ids, and a time to live that starts anew with each read."""

from __future__ import annotations

import secrets
from typing import Any

from valkeykit.cache.acache import AsyncCache
from valkeykit.cache.cache import Cache
from valkeykit.cache.ttl import SESSION
from valkeykit.errors import UnreachableError

Data = dict[str, Any]


class Sessions:
    """Sessions in a cache. ttl: seconds that one lives without being read."""

    def __init__(self, cache: Cache, ttl: float = SESSION) -> None:
        self._cache = cache
        self._ttl = ttl

    def create(self, data: Data) -> str:
        """Store a new session; returns its id, which can't be guessed.

        Raises:
            UnreachableError: it couldn't be stored.
        """
        session = _new()
        self.write(session, data)
        return session

    def read(self, session: str) -> Data | None:
        """The session's data; None where it has ended or the server can't be asked."""
        data: Data | None = self._cache.touch(_key(session), self._ttl)
        return data

    def write(self, session: str, data: Data) -> None:
        """Replace the session's data. Raises as `create`."""
        _require(stored=self._cache.set(_key(session), data, self._ttl))

    def end(self, session: str) -> bool:
        """Log out; fails loud, since the session would live on. False where there was none."""
        return self._cache.delete(_key(session)) > 0


class AsyncSessions:
    """Sessions in an AsyncCache. Arguments, answers and errors are those of Sessions."""

    def __init__(self, cache: AsyncCache, ttl: float = SESSION) -> None:
        self._cache = cache
        self._ttl = ttl

    async def create(self, data: Data) -> str:
        """As Sessions.create."""
        session = _new()
        await self.write(session, data)
        return session

    async def read(self, session: str) -> Data | None:
        """As Sessions.read."""
        data: Data | None = await self._cache.touch(_key(session), self._ttl)
        return data

    async def write(self, session: str, data: Data) -> None:
        """As Sessions.write."""
        _require(stored=await self._cache.set(_key(session), data, self._ttl))

    async def end(self, session: str) -> bool:
        """As Sessions.end."""
        return await self._cache.delete(_key(session)) > 0


def _new() -> str:
    return secrets.token_urlsafe(24)


def _key(session: str) -> str:
    return f"session:{session}"


def _require(*, stored: bool) -> None:
    if not stored:
        raise UnreachableError("the session couldn't be stored", fix="look at the log of valkeykit.cache")
