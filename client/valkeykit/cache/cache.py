"""The cache, for synchronous code."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import AuthenticationError, ConnectionError, ReadOnlyError  # noqa: A004

from valkeykit.cache.base import CacheBase
from valkeykit.cache.computation import COMPUTE_LEASE_SECONDS, Computation
from valkeykit.cache.effects import Effects, Send
from valkeykit.cache.entries import MISSING
from valkeykit.cache.renewer import Renewer
from valkeykit.cache.ttl import API_RESPONSE_SECONDS, NEGATIVE_SECONDS
from valkeykit.connection import open_client
from valkeykit.effects import run_effects
from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.errors import ConfigurationError
from valkeykit.fast_connection import FastConnection
from valkeykit.lazy_connection import LazyConnection

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Cache(CacheBase):
    """A cache on the server.

    When the server is unavailable, reads return the default and writes return False. Deletes raise, because
    deleted data would be served later. DISABLE_REDIS counts as an unavailable server.

    Attributes:
        statistics: The counters since the cache was created.
        breaker: The circuit breaker.
    """

    _connection_type = LazyConnection
    _lazy: LazyConnection

    @cached_property
    def _renewer(self) -> Renewer:
        return Renewer()

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value, including one in the stale period of `get_or_compute`.

        Args:
            key: Text of 1 to 1024 characters.
            default: Returned if there is no value, or the server is unavailable.

        Returns:
            The value, or the default.

        Raises:
            ConfigurationError: The key isn't a text of 1 to 1024 characters.

        Example:
            >>> cache.get("user:5", default={})
        """
        return self.run(self._operations.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Read several values in one round trip, and one more if any has tags.

        Args:
            keys: Texts of 1 to 1024 characters.

        Returns:
            The values that exist, by key; an empty dict if the server is unavailable.

        Raises:
            ConfigurationError: A key can't be used.
        """
        return self.run(self._operations.get_many(keys))

    def set(self, key: str, value: Any, ttl: float | None = API_RESPONSE_SECONDS, *, tags: Iterable[str] = ()) -> bool:
        """Store a value.

        Args:
            key: Text of 1 to 1024 characters.
            value: Anything that the serializer takes.
            ttl: Time to live in seconds, up to a year, less the jitter. None: no expiry; the entry ends only by
                `delete`, by `invalidate` or when the server evicts it.
            tags: `invalidate` ends all entries of a tag at once. Reading a tagged entry takes a second round trip.

        Returns:
            False if the server is unavailable.

        Raises:
            ConfigurationError: The value can't be serialized, or another argument can't be used.

        Example:
            >>> cache.set("user:5", {"name": "Ann"}, ttl=600, tags=["users"])
            True
        """
        return self.run(self._operations.set(key, value, ttl, tags))

    def set_many(self, values: Mapping[str, Any], ttl: float | None = API_RESPONSE_SECONDS) -> bool:
        """Store several values in one round trip.

        Args:
            values: Values by key.
            ttl: As for `set`.

        Returns:
            False if the server is unavailable.

        Raises:
            ConfigurationError: A value can't be serialized, or another argument can't be used.
        """
        return self.run(self._operations.set_many(values, ttl))

    def delete(self, *keys: str) -> int:
        """Delete entries.

        Args:
            *keys: Texts of 1 to 1024 characters.

        Returns:
            The number of entries that existed.

        Raises:
            ValkeykitError: The server is unavailable, so they may still exist.
        """
        return self.run(self._operations.delete(keys))

    def invalidate(self, *tags: str) -> None:
        """End all entries of tags.

        Args:
            *tags: Texts of 1 to 1024 characters.

        Raises:
            ValkeykitError: The server is unavailable, so the entries may still be served.

        Example:
            >>> cache.invalidate("users")
        """
        self.run(self._operations.invalidate(tags))

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T],
        ttl: float | None = API_RESPONSE_SECONDS,
        *,
        stale: float = 0,
        negative_ttl: float = NEGATIVE_SECONDS,
        tags: Iterable[str] = (),
        lease: float = COMPUTE_LEASE_SECONDS,
    ) -> T:
        """Read a value; if there is none, one caller of all processes computes it.

        The others wait, however long that takes. A value whose key is deleted meanwhile is not stored.

        Args:
            key: Text of 1 to 1024 characters.
            compute: Called without arguments.
            ttl: Seconds that the value is fresh; None: it never expires.
            stale: Seconds after `ttl` in which the others get the old value while one computes,
                and all do if that fails; without an old value they wait.
            negative_ttl: Seconds that None is kept.
            tags: As for `set`.
            lease: Seconds after which another caller computes if this process dies. Renewed while computing.

        Returns:
            The value as the serializer reads it back, also for the caller that computes it: JSON makes lists of tuples.

        Raises:
            ConfigurationError: An argument can't be used, or the value can't be serialized.
            BaseException: What `compute` raises, unless there is an old value.

        Example:
            >>> cache.get_or_compute("user:5", lambda: load_user(5), ttl=60, stale=300)
        """
        call = Computation(self._operations, key, compute, ttl, stale, negative_ttl, tags, lease)
        try:
            value = self.run(call.claim())
            if value is MISSING:
                try:
                    with call.running(), self._renewer.renewing(call.renew_every, lambda: self.run(call.renew())):
                        computed = compute()
                except Exception:
                    if call.stale_value is MISSING:
                        raise
                    value = call.stale_value
                else:
                    value = self.run(call.store(_not_awaitable(computed)))
        finally:
            if call.holds_lease:
                self.run(call.release())
        result: T = value
        return result

    def touch(self, key: str, ttl: float | None, default: Any = None) -> Any:
        """Read a value as `get` does, and reset its time to live.

        Args:
            key: Text of 1 to 1024 characters.
            ttl: Seconds; None for no expiry.
            default: Returned if there is no value, or the server is unavailable.

        Returns:
            The value, or the default.

        Raises:
            ConfigurationError: An argument can't be used.
        """
        value = self.run(self._operations.touch(key, ttl))
        return default if value is MISSING else value

    def commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands in one round trip, also while the circuit breaker is open.

        Args:
            *commands: Words of each command. Complete its keys with `key`.

        Returns:
            The responses, as bytes.

        Raises:
            ValkeykitError: The server is unavailable, or rejected a command.

        Example:
            >>> cache.commands(("INCR", cache.key("visits")))
            [1]
        """
        return self._send(Send(list(commands), bypass_breaker=True, no_resend=True))

    def close(self) -> None:
        """Close the connections; a further call opens them again."""
        self._lazy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, effects: Effects[T]) -> T:
        """Run an operation of the cache or of a class that is built on it.

        Args:
            effects: The operation.

        Returns:
            Its result.
        """
        return run_effects(effects, self._send)

    def _send(self, effect: Send) -> list[Any]:
        self._admit(bypass_breaker=effect.bypass_breaker)
        began = time.perf_counter()
        try:
            answers = self._ask(effect.commands, no_resend=effect.no_resend)
        except REDIS_ERRORS as error:
            raise self._failed(error) from error
        self._succeeded(began)
        return answers

    def _ask(self, commands: list[tuple[Any, ...]], *, no_resend: bool) -> list[Any]:
        connection = self._lazy.connection or self._lazy.open(self._connect)
        try:
            return _exchange(connection, commands, alone=not no_resend)
        except (ConnectionError, ReadOnlyError) as error:  # the next connection is another one
            if no_resend or isinstance(error, AuthenticationError):
                raise
            return _exchange(connection, commands, alone=True)

    def _connect(self) -> FastConnection:
        return FastConnection(open_client(self._settings(), require_topology=True))


def _exchange(connection: FastConnection, commands: list[tuple[Any, ...]], *, alone: bool) -> list[Any]:
    """Send commands. If `alone`, a single one may take the fast path, whose connection may be stale."""
    if alone and len(commands) == 1:
        return [connection.send(*commands[0])]
    pipeline = connection.client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(pipeline.execute()) if commands else []


def _not_awaitable(value: T) -> T:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ConfigurationError("the computation returned an awaitable", fix="use AsyncCache, or a plain function")
    return value
