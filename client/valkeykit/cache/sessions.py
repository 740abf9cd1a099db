"""Login sessions: random ids, and a time to live that starts anew with each read."""

from __future__ import annotations

import secrets
from typing import Any

from valkeykit.cache.cache import Cache
from valkeykit.cache.ttl import SESSION
from valkeykit.errors import UnreachableError


class Sessions:
    """Sessions in a cache. ttl: seconds that one lives without being read."""

    def __init__(self, cache: Cache, ttl: float = SESSION) -> None:
        self._cache = cache
        self._ttl = ttl

    def create(self, data: dict[str, Any]) -> str:
        """Store a new session; returns its id, which can't be guessed.

        Raises:
            UnreachableError: it couldn't be stored.
        """
        session = secrets.token_urlsafe(24)
        self.write(session, data)
        return session

    def read(self, session: str) -> dict[str, Any] | None:
        """The session's data; None where it has ended or the server can't be asked."""
        data: dict[str, Any] | None = self._cache.touch(f"session:{session}", self._ttl)
        return data

    def write(self, session: str, data: dict[str, Any]) -> None:
        """Replace the session's data. Raises as `create`."""
        if not self._cache.set(f"session:{session}", data, self._ttl):
            raise UnreachableError("the session couldn't be stored", fix="look at the log of valkeykit.cache")

    def end(self, session: str) -> bool:
        """Log out; fails loud, since the session would live on. False where there was none."""
        return self._cache.delete(f"session:{session}") > 0
