"""The lease protocol of get_or_compute."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from valkeykit.cache import ttl as ttls
from valkeykit.cache.effects import Effects
from valkeykit.cache.entries import MISSING, stale_header
from valkeykit.cache.operations import SERVER_ERRORS, CacheOperations, check_tags
from valkeykit.cache.validation import check_number
from valkeykit.effects import Sleep
from valkeykit.errors import BreakerOpenError, ConfigurationError, RefusedError, shown

COMPUTE_LEASE_SECONDS = 10.0
"""Seconds until the lease of a killed caller expires."""

REMEMBERED_MS = 600_000
"""How long an expired lease stays on the server, so that a caller that could not renew it can store its value."""

_running: ContextVar[tuple[Computation, ...]] = ContextVar("valkeykit_cache_running", default=())


class Computation:
    """One call: claims the lease, renews it, stores the value, releases the lease. Each is a sequence of effects."""

    def __init__(  # noqa: PLR0917  (called by the caches alone)
        self,
        operations: CacheOperations,
        name: str,
        compute: Callable[[], Any],
        ttl: float | None,
        stale: float,
        negative_ttl: float,
        tags: Iterable[str],
        lease: float,
    ) -> None:
        if not callable(compute):
            raise ConfigurationError(
                f"compute is {shown(compute)}, expected a function", fix="pass the function without calling it"
            )
        self._operations = operations
        self._key = operations.keys.entry(name)
        self._tags = check_tags(tags)
        self._life = ttls.expiry(ttl, operations.jitter)
        self._stale = round(check_number("stale", stale, ttls.MAX_TTL_SECONDS, "300") * 1000)
        self._negative = ttls.milliseconds(negative_ttl, name="negative_ttl")
        self._lease = ttls.milliseconds(lease, name="lease")
        self._token = secrets.token_hex(8)
        self._process = os.getpid()
        self._is_running = False
        self._versions: bytes | None = None
        self.renew_every = max(lease / 3, 0.01)
        self.stale_value: Any = MISSING
        """Returned if the computation fails."""
        self.holds_lease = False
        """Also true while this is unknown because the reply was lost."""

    def claim(self) -> Effects[Any]:
        """Read the value, or wait while another caller computes it; MISSING if this caller must compute it."""
        if self._is_nested():  # waiting for the lease would be a deadlock
            return self._compute()
        pause = 0.005
        try:
            while True:
                entry, verdict = yield from self._ask()
                value = MISSING if entry is None else (yield from self._operations.entries.read(entry))
                if verdict == b"compute":
                    self.stale_value = value
                    break
                if value is not MISSING:
                    return self._operations.count(value, MISSING)
                if verdict == b"fresh":  # corrupt, or invalidated by a tag
                    yield from self._script("discard", _digest(entry or b""))
                    continue
                yield Sleep(pause)
                pause = min(pause * 1.5, 0.1)
            self._operations.count(MISSING, MISSING)
            self._versions = yield from self._operations.entries.versions(self._tags, self._longest())
        except SERVER_ERRORS:
            if self.stale_value is not MISSING:
                return self.stale_value
        return self._compute()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the computation as running, to detect a nested call for the same key."""
        before, self._is_running = _running.set((*_running.get(), self)), True
        try:
            yield
        finally:
            self._is_running = False
            with suppress(ValueError):  # a coroutine that is closed from another context
                _running.reset(before)

    def renew(self) -> Effects[bool]:
        """Renew the lease; False if it was deleted or taken over."""
        try:
            return bool((yield from self._script("renew", self._token, self._lease + REMEMBERED_MS)))
        except SERVER_ERRORS:
            return True

    def store(self, value: Any) -> Effects[Any]:
        """Store the computed value; returns it as later readers get it.

        Raises:
            ConfigurationError: The value can't be serialized, whether or not the server is available.
        """
        data, value = self._operations.codec.encode_and_read(value)
        versions = b"" if not self._tags else self._versions
        if self._life is None or value is None:
            header, life = b"", self._negative if value is None else 0
        else:
            header, life = stale_header(self._stale), self._life + self._stale
        if versions is not None:
            yield from self._finish(header + versions + data, life)
        return value

    def release(self) -> Effects[None]:
        """Release the lease if it is held."""
        yield from self._finish(b"", 1)

    def _compute(self) -> Any:
        self._operations.statistics.computed += 1
        return MISSING

    def _ask(self) -> Effects[tuple[bytes | None, bytes]]:
        self.holds_lease = True
        try:
            entry, verdict = yield from self._script("claim", self._token, self._lease, REMEMBERED_MS, self._stale)
        except (BreakerOpenError, RefusedError):
            self.holds_lease = False
            raise
        self.holds_lease = verdict == b"compute"
        return entry, verdict

    def _finish(self, entry: bytes, life: int) -> Effects[None]:
        """Only in the process that claimed the lease, not in one that it forked."""
        if not self.holds_lease or os.getpid() != self._process:
            return
        with suppress(*SERVER_ERRORS):  # the lease expires by itself
            yield from self._script("store", self._token, entry, life)
        self.holds_lease = False

    def _script(self, name: str, *arguments: Any) -> Effects[Any]:
        return self._operations.script(name, self._key, *arguments)

    def _longest(self) -> int | None:
        return None if self._life is None else max(self._life + self._stale, self._negative)

    def _is_nested(self) -> bool:
        return any(
            other._is_running and other._key == self._key and other._operations is self._operations
            for other in _running.get()
        )


def _digest(entry: bytes) -> str:
    return hashlib.sha1(entry, usedforsecurity=False).hexdigest()
