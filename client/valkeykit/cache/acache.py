"""The cache for asyncio, with the names and arguments of Cache."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from redis.exceptions import AuthenticationError, ConnectionError, ReadOnlyError  # noqa: A004

from valkeykit.aconnection import open_async_client
from valkeykit.cache.base import CacheBase
from valkeykit.cache.computation import COMPUTE_LEASE_SECONDS, Computation
from valkeykit.cache.effects import Effects, Send
from valkeykit.cache.entries import MISSING
from valkeykit.cache.ttl import API_RESPONSE_SECONDS, NEGATIVE_SECONDS
from valkeykit.effects import run_effects_async
from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.fast_connection import AsyncFastConnection
from valkeykit.lazy_connection import AsyncLazyConnection

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class AsyncCache(CacheBase):
    """A cache on the server, for asyncio. Options, results and errors are those of Cache."""

    _connection_type = AsyncLazyConnection
    _lazy: AsyncLazyConnection

    @cached_property
    def _background(self) -> set[asyncio.Task[Any]]:
        return set()

    async def get(self, key: str, default: Any = None) -> Any:
        """Read a value, including one in the stale period of `get_or_compute`.

        Args:
            key: Text of 1 to 1024 characters.
            default: Returned if there is no value, or the server is unavailable.

        Returns:
            The value, or the default.

        Raises:
            ConfigurationError: The key isn't a text of 1 to 1024 characters.
        """
        return await self.run(self._operations.get(key, default))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Read several values in one round trip, and one more if any has tags.

        Args:
            keys: Texts of 1 to 1024 characters.

        Returns:
            The values that exist, by key; an empty dict if the server is unavailable.

        Raises:
            ConfigurationError: A key can't be used.
        """
        return await self.run(self._operations.get_many(keys))

    async def set(
        self, key: str, value: Any, ttl: float | None = API_RESPONSE_SECONDS, *, tags: Iterable[str] = ()
    ) -> bool:
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
        """
        return await self.run(self._operations.set(key, value, ttl, tags))

    async def set_many(self, values: Mapping[str, Any], ttl: float | None = API_RESPONSE_SECONDS) -> bool:
        """Store several values in one round trip.

        Args:
            values: Values by key.
            ttl: As for `set`.

        Returns:
            False if the server is unavailable.

        Raises:
            ConfigurationError: A value can't be serialized, or another argument can't be used.
        """
        return await self.run(self._operations.set_many(values, ttl))

    async def delete(self, *keys: str) -> int:
        """Delete entries.

        Args:
            *keys: Texts of 1 to 1024 characters.

        Returns:
            The number of entries that existed.

        Raises:
            ValkeykitError: The server is unavailable, so they may still exist.
        """
        return await self.run(self._operations.delete(keys))

    async def invalidate(self, *tags: str) -> None:
        """End all entries of tags.

        Args:
            *tags: Texts of 1 to 1024 characters.

        Raises:
            ValkeykitError: The server is unavailable, so the entries may still be served.
        """
        await self.run(self._operations.invalidate(tags))

    @overload
    async def get_or_compute(
        self,
        key: str,
        compute: Callable[[], Awaitable[T]],
        ttl: float | None = ...,
        *,
        stale: float = ...,
        negative_ttl: float = ...,
        tags: Iterable[str] = ...,
        lease: float = ...,
    ) -> T: ...

    @overload
    async def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T],
        ttl: float | None = ...,
        *,
        stale: float = ...,
        negative_ttl: float = ...,
        tags: Iterable[str] = ...,
        lease: float = ...,
    ) -> T: ...

    async def get_or_compute(
        self,
        key: str,
        compute: Callable[[], Any],
        ttl: float | None = API_RESPONSE_SECONDS,
        *,
        stale: float = 0,
        negative_ttl: float = NEGATIVE_SECONDS,
        tags: Iterable[str] = (),
        lease: float = COMPUTE_LEASE_SECONDS,
    ) -> Any:
        """Read a value; if there is none, one caller of all processes computes it.

        The others wait, however long that takes. A value whose key is deleted meanwhile is not stored.

        Args:
            key: Text of 1 to 1024 characters.
            compute: Called without arguments; a function or a coroutine function.
            ttl: Seconds that the value is fresh; None: it never expires.
            stale: Seconds after `ttl` in which the others get the old value while one computes,
                and all do if that fails; without an old value they wait.
            negative_ttl: Seconds that None is kept.
            tags: As for `set`.
            lease: Seconds after which another caller computes if this process dies. Renewed while computing,
                unless the event loop is blocked.

        Returns:
            The value as the serializer reads it back, also for the caller that computes it: JSON makes lists of tuples.

        Raises:
            ConfigurationError: An argument can't be used, or the value can't be serialized.
            BaseException: What `compute` raises, unless there is an old value.
        """
        call = Computation(self._operations, key, compute, ttl, stale, negative_ttl, tags, lease)
        is_closed = False
        try:
            value = await self.run(call.claim())
            if value is MISSING:
                try:
                    with call.running(), self._renewing(call):
                        computed = compute()
                        if inspect.isawaitable(computed):
                            computed = await computed
                except Exception:
                    if call.stale_value is MISSING:
                        raise
                    value = call.stale_value
                else:
                    value = await self.run(call.store(computed))
        except GeneratorExit:
            is_closed = True
            raise
        finally:
            if call.holds_lease:
                await self._release(call, is_closed=is_closed)
        return value

    async def touch(self, key: str, ttl: float | None, default: Any = None) -> Any:
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
        value = await self.run(self._operations.touch(key, ttl))
        return default if value is MISSING else value

    async def commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands in one round trip, also while the circuit breaker is open.

        Args:
            *commands: Words of each command. Complete its keys with `key`.

        Returns:
            The responses, as bytes.

        Raises:
            ValkeykitError: The server is unavailable, or rejected a command.
        """
        return await self._send(Send(list(commands), bypass_breaker=True, no_resend=True))

    async def close(self) -> None:
        """Close the connections; a further call opens them again."""
        here = asyncio.get_running_loop()
        await asyncio.gather(*(task for task in self._background if task.get_loop() is here), return_exceptions=True)
        await self._lazy.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def run(self, effects: Effects[T]) -> Coroutine[Any, Any, T]:
        """Run an operation of the cache or of a class that is built on it.

        Args:
            effects: The operation.

        Returns:
            Its result.
        """
        return run_effects_async(effects, self._send)

    @contextmanager
    def _renewing(self, call: Computation) -> Iterator[None]:
        task = asyncio.ensure_future(self._renew(call))
        try:
            yield
        finally:
            with suppress(RuntimeError):  # there is no event loop any more
                task.cancel()

    async def _renew(self, call: Computation) -> None:
        """Cancelled between two calls of the server, never within one: that would cost the connection."""
        while True:
            await asyncio.sleep(call.renew_every)
            if not await asyncio.shield(self._in_background(self.run(call.renew()))):
                return

    async def _release(self, call: Computation, *, is_closed: bool) -> None:
        """Complete also where the caller is cancelled again. One that is being closed can't await."""
        try:
            task = self._in_background(self.run(call.release()))
        except RuntimeError:  # closed, and there is no event loop any more
            return
        if not is_closed:
            await asyncio.shield(task)

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        try:
            task = asyncio.get_running_loop().create_task(work)
        except RuntimeError:
            work.close()
            raise
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _send(self, effect: Send) -> list[Any]:
        self._admit(bypass_breaker=effect.bypass_breaker)
        began = time.perf_counter()
        try:
            answers = await self._ask(effect.commands, no_resend=effect.no_resend)
        except REDIS_ERRORS as error:
            raise self._failed(error) from error
        self._succeeded(began)
        return answers

    async def _ask(self, commands: list[tuple[Any, ...]], *, no_resend: bool) -> list[Any]:
        connection = self._lazy.current() or await self._lazy.open(self._connect)
        try:
            return await _exchange(connection, commands, alone=not no_resend)
        except (ConnectionError, ReadOnlyError) as error:  # the next connection is another one
            if no_resend or isinstance(error, AuthenticationError):
                raise
            return await _exchange(connection, commands, alone=True)

    async def _connect(self) -> AsyncFastConnection:
        return AsyncFastConnection(await open_async_client(self._settings(), require_topology=True))


async def _exchange(connection: AsyncFastConnection, commands: list[tuple[Any, ...]], *, alone: bool) -> list[Any]:
    """As `_exchange` of the synchronous cache."""
    if alone and len(commands) == 1:
        return [await connection.send(*commands[0])]
    pipeline = connection.client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute()) if commands else []
