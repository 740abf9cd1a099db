"""Base of Cache and AsyncCache: settings, statistics and circuit breaker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from valkeykit import environment
from valkeykit.breaker import CircuitBreaker
from valkeykit.cache.codec import COMPRESS_FROM_BYTES, Codec, Serializer
from valkeykit.cache.operations import CacheOperations
from valkeykit.cache.statistics import CacheStatistics
from valkeykit.cache.ttl import MAX_JITTER_SHARE
from valkeykit.error_translation import translate_error
from valkeykit.errors import BreakerOpenError, RefusedError
from valkeykit.settings import (
    ConnectionSettings,
    ConnectOptions,
    ConnectTarget,
    check,
    refuse_replicas,
    resolve_settings,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

CACHE_TIMEOUT_SECONDS = 0.5
"""Seconds that a cache waits for a connection and for a response; the application can compute the value instead."""

_logger = logging.getLogger("valkeykit.cache")


class CacheBase:
    """A cache's settings, counters and circuit breaker. See Cache."""

    _connection_type: Callable[[], Any]

    def __init__(
        self,
        url: ConnectTarget = None,
        *,
        namespace: str = "",
        serializer: Serializer | None = None,
        compress_from: int | None = COMPRESS_FROM_BYTES,
        jitter: float = MAX_JITTER_SHARE,
        breaker: CircuitBreaker | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None:
        """Check the arguments; nothing is sent.

        Args:
            url: As for `valkeykit.connect`.
            namespace: Precedes every key, separated by a colon; by two if it contains one itself.
            serializer: Converts values to bytes and back; JSON by default.
            compress_from: Bytes from which on values are compressed; None for never.
            jitter: Share, 0 to 1, by which an entry may expire early.
            breaker: By default, three failures in a row stop calls for two seconds.
            **options: See ConnectOptions; connect_timeout and read_timeout are 0.5 s by default.

        Raises:
            ConfigurationError: The URL or an option can't be used.

        Example:
            >>> cache = Cache("redis://localhost:6379", namespace="shop")
        """
        check(options)
        refuse_replicas(options)
        self.statistics = CacheStatistics()
        self.breaker = breaker or CircuitBreaker()
        self._source = url
        self._disabled = url is None and environment.resolve() is None
        self._options = options
        self._lazy = self._connection_type()
        if url is not None:
            self._settings()
        self._operations = CacheOperations(namespace, Codec(serializer, compress_from), jitter, self.statistics)

    def key(self, name: str) -> str:
        """Complete a key with the namespace, for `commands`.

        Args:
            name: Key of an entry.

        Returns:
            The key on the server.
        """
        return self._operations.keys.entry(name)

    def _settings(self) -> ConnectionSettings:
        timeouts: ConnectOptions = {"connect_timeout": CACHE_TIMEOUT_SECONDS, "read_timeout": CACHE_TIMEOUT_SECONDS}
        return resolve_settings(self._source, defaults=timeouts, **(self._options | {"decode": False}))

    def _admit(self, *, bypass_breaker: bool) -> None:
        if self._disabled:
            raise BreakerOpenError("DISABLE_REDIS is on, so the cache is disabled", fix="unset DISABLE_REDIS")
        if not bypass_breaker and not self.breaker.allows():
            self.statistics.errors += 1
            raise BreakerOpenError(
                "the circuit breaker is open after repeated failures", fix="see the previous warnings in the log"
            )

    def _succeeded(self, began: float) -> None:
        self.statistics.calls += 1
        self.statistics.seconds += time.perf_counter() - began
        self.breaker.succeeded()

    def _failed(self, error: Exception) -> Exception:
        """Translate an error for the effects. An error reply of the server leaves the breaker closed."""
        if isinstance(error, NoScriptError):
            return error
        self.statistics.errors += 1
        ours = translate_error(error)
        if isinstance(ours, RefusedError):
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        _logger.warning("cache: %s", ours)
        return ours
