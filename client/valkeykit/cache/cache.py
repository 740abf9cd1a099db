"""The cache as applications use it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import AuthenticationError, ConnectionError, ReadOnlyError  # noqa: A004

from valkeykit.cache.base import CacheBase
from valkeykit.cache.computation import LEASE_SECONDS, Computation
from valkeykit.cache.effects import Effects, Send, Sleep
from valkeykit.cache.entries import MISSING
from valkeykit.cache.renewer import Renewer
from valkeykit.cache.ttl import API_RESPONSE, NEGATIVE
from valkeykit.connection import open_client
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
    """

    _connection_type = LazyConnection
    _lazy: LazyConnection

    @cached_property
    def _renewer(self) -> Renewer:
        return Renewer()

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value, also one that `get_or_compute` keeps for its stale period.

        Returns:
            The value; the default if there is none or the server is unavailable.

        Raises:
            ConfigurationError: the key isn't a text of 1 to 1024 characters.
        """
        return self.run(self._operations.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values that exist, by key, in one round trip, and one more if any has tags. Raises as `get` does."""
        return self.run(self._operations.get_many(keys))

    def set(self, key: str, value: Any, ttl: float | None = API_RESPONSE, *, tags: Iterable[str] = ()) -> bool:
        """Store a value.

        Args:
            key: text of 1 to 1024 characters.
            value: anything that the serializer takes.
            ttl: seconds, up to a year, less the jitter. None: no expiry; the entry ends only by `delete`,
                by `invalidate` or when the server evicts it.
            tags: `invalidate` ends all entries of a tag at once. Reading a tagged entry takes a second round trip.

        Returns:
            False if the server is unavailable.

        Raises:
            ConfigurationError: the value can't be serialized, or another argument can't be used.
        """
        return self.run(self._operations.set(key, value, ttl, tags))

    def set_many(self, values: Mapping[str, Any], ttl: float | None = API_RESPONSE) -> bool:
        """Store values by key, in one round trip. Arguments, result and errors are those of `set`."""
        return self.run(self._operations.set_many(values, ttl))

    def delete(self, *keys: str) -> int:
        """Delete entries; returns how many there were.

        Raises:
            ValkeykitError: the server is unavailable, so they may still exist.
        """
        return self.run(self._operations.delete(keys))

    def invalidate(self, *tags: str) -> None:
        """End all entries of these tags. Raises as `delete` does."""
        self.run(self._operations.invalidate(tags))

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T],
        ttl: float | None = API_RESPONSE,
        *,
        stale: float = 0,
        negative_ttl: float = NEGATIVE,
        tags: Iterable[str] = (),
        lease: float = LEASE_SECONDS,
    ) -> T:
        """Read a value; if there is none, one caller of all processes computes it.

        The others wait, however long that takes. A value whose key is deleted meanwhile is not stored.

        Args:
            key: text of 1 to 1024 characters.
            compute: called without arguments.
            ttl: seconds that the value is fresh; None: it never expires.
            stale: seconds after `ttl` in which the others get the old value while one computes,
                and all do if that fails; without an old value they wait.
            negative_ttl: seconds that None is kept.
            tags: as those of `set`.
            lease: seconds after which another caller computes if this process dies. Renewed while computing.

        Returns:
            The value as the serializer reads it back, for whoever computes it too: JSON makes lists of tuples.

        Raises:
            ConfigurationError: an argument can't be used, or the value can't be serialized.
            BaseException: what `compute` raises, unless there is an old value.
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
        """Read a value as `get` does; reset its time to live to `ttl` seconds; None: no expiry."""
        value = self.run(self._operations.touch(key, ttl))
        return default if value is MISSING else value

    def commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands as they are, in one round trip; complete keys with `key`. Errors of the server are raised."""
        return self._send(Send(list(commands), bypass_breaker=True, no_resend=True))

    def close(self) -> None:
        """Close the connections; a further call opens them again."""
        self._lazy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, effects: Effects[T]) -> T:
        """Run what a cache or what is built on it does."""
        answer: Any = None
        failure: Exception | None = None
        while True:
            try:
                effect = effects.send(answer) if failure is None else effects.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            answer, failure = None, None
            try:
                if type(effect) is Send:
                    answer = self._send(effect)
                elif type(effect) is Sleep:
                    time.sleep(effect.seconds)
            except Exception as error:  # noqa: BLE001  (the effects decide)
                failure = error

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
    """alone: a single command may take the fast path, whose connection may be stale."""
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
