"""Login sessions with random ids and sliding expiration."""

from __future__ import annotations

import re
import secrets
from typing import Any

from valkeykit.cache.acache import AsyncCache
from valkeykit.cache.base import CacheBase
from valkeykit.cache.cache import Cache
from valkeykit.cache.effects import Effects, Send
from valkeykit.cache.operations import SERVER_ERRORS
from valkeykit.cache.ttl import SESSION_SECONDS, milliseconds

Data = dict[str, Any]

_is_id = re.compile("[A-Za-z0-9_-]{32}").fullmatch
"""Ids come from cookies and are untrusted. Anything else than this is not sent to the server."""


class _Store:
    """The operations on sessions as effects, which the two classes below run."""

    def __init__(self, cache: CacheBase, ttl: float) -> None:
        self._operations = cache._operations
        self._life = milliseconds(ttl)

    def create(self, data: Data) -> Effects[str]:
        entry = self._operations.codec.encode(data)
        while True:
            session = secrets.token_urlsafe(24)
            (stored,) = yield Send([("SET", self._key(session), entry, "NX", "PX", self._life)], bypass_breaker=True)
            if stored:  # otherwise a lost reply: the resend found the key, and this id is discarded
                return session

    def read(self, session: str) -> Effects[Data | None]:
        if not _is_session(session):
            return None
        try:
            (entry,) = yield Send([("GETEX", self._key(session), "PX", self._life)])
            value = yield from self._operations.entries.read(entry)
        except SERVER_ERRORS:
            return None
        data: Data | None = self._operations.count(value, None)
        return data

    def write(self, session: str, data: Data) -> Effects[bool]:
        entry = self._operations.codec.encode(data)
        if not _is_session(session):
            return False
        (stored,) = yield Send([("SET", self._key(session), entry, "XX", "PX", self._life)], bypass_breaker=True)
        return bool(stored)

    def end(self, session: str) -> Effects[bool]:
        if not _is_session(session):
            return False
        (ended,) = yield Send([("DEL", self._key(session))], bypass_breaker=True)
        return bool(ended)

    def _key(self, session: str) -> str:
        return self._operations.keys.own("session", session)


class Sessions:
    """Login sessions in a cache, with random ids and sliding expiration."""

    def __init__(self, cache: Cache, ttl: float = SESSION_SECONDS) -> None:
        """Check the arguments; nothing is sent.

        Args:
            cache: Where the sessions are stored.
            ttl: Seconds until a session expires that is neither read nor written.

        Raises:
            ConfigurationError: The TTL can't be used.

        Example:
            >>> sessions = Sessions(cache)
            >>> session = sessions.create({"user": 5})
            >>> sessions.read(session)
            {'user': 5}
        """
        self._run = cache.run
        self._store = _Store(cache, ttl)

    def create(self, data: Data) -> str:
        """Store a new session.

        Args:
            data: Anything that the serializer takes.

        Returns:
            The session's id, which can't be guessed.

        Raises:
            ConfigurationError: The data can't be serialized.
            ValkeykitError: The server is unavailable or rejected the write.
        """
        return self._run(self._store.create(data))

    def read(self, session: str) -> Data | None:
        """Read a session's data.

        Args:
            session: Its id.

        Returns:
            The data; None if the session has ended, the id is invalid, or the server is unavailable.
        """
        return self._run(self._store.read(session))

    def write(self, session: str, data: Data) -> bool:
        """Replace a session's data.

        Args:
            session: Its id.
            data: Anything that the serializer takes.

        Returns:
            False if the session has ended.

        Raises:
            ConfigurationError: The data can't be serialized.
            ValkeykitError: The server is unavailable or rejected the write.
        """
        return self._run(self._store.write(session, data))

    def end(self, session: str) -> bool:
        """End a session.

        Args:
            session: Its id.

        Returns:
            False if there was no such session.

        Raises:
            ValkeykitError: The server is unavailable, so the session may still exist.
        """
        return self._run(self._store.end(session))


class AsyncSessions:
    """Login sessions in an AsyncCache, as Sessions has them in a Cache."""

    def __init__(self, cache: AsyncCache, ttl: float = SESSION_SECONDS) -> None:
        """Check the arguments; nothing is sent.

        Args:
            cache: Where the sessions are stored.
            ttl: Seconds until a session expires that is neither read nor written.

        Raises:
            ConfigurationError: The TTL can't be used.
        """
        self._run = cache.run
        self._store = _Store(cache, ttl)

    async def create(self, data: Data) -> str:
        """Store a new session.

        Args:
            data: Anything that the serializer takes.

        Returns:
            The session's id, which can't be guessed.

        Raises:
            ConfigurationError: The data can't be serialized.
            ValkeykitError: The server is unavailable or rejected the write.
        """
        return await self._run(self._store.create(data))

    async def read(self, session: str) -> Data | None:
        """Read a session's data.

        Args:
            session: Its id.

        Returns:
            The data; None if the session has ended, the id is invalid, or the server is unavailable.
        """
        return await self._run(self._store.read(session))

    async def write(self, session: str, data: Data) -> bool:
        """Replace a session's data.

        Args:
            session: Its id.
            data: Anything that the serializer takes.

        Returns:
            False if the session has ended.

        Raises:
            ConfigurationError: The data can't be serialized.
            ValkeykitError: The server is unavailable or rejected the write.
        """
        return await self._run(self._store.write(session, data))

    async def end(self, session: str) -> bool:
        """End a session.

        Args:
            session: Its id.

        Returns:
            False if there was no such session.

        Raises:
            ValkeykitError: The server is unavailable, so the session may still exist.
        """
        return await self._run(self._store.end(session))


def _is_session(session: object) -> bool:
    return isinstance(session, str) and _is_id(session) is not None
