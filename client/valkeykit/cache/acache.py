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
    """A cache on the server, for asyncio. Arguments, answers and errors are those of Cache."""

    _connection_type = AsyncLazyConnection
    _lazy: AsyncLazyConnection

    @cached_property
    def _background(self) -> set[asyncio.Task[Any]]:
        return set()

    async def get(self, key: str, default: Any = None) -> Any:
        """As Cache.get."""
        return await self.run(self._operations.get(key, default))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """As Cache.get_many."""
        return await self.run(self._operations.get_many(keys))

    async def set(
        self, key: str, value: Any, ttl: float | None = API_RESPONSE_SECONDS, *, tags: Iterable[str] = ()
    ) -> bool:
        """As Cache.set."""
        return await self.run(self._operations.set(key, value, ttl, tags))

    async def set_many(self, values: Mapping[str, Any], ttl: float | None = API_RESPONSE_SECONDS) -> bool:
        """As Cache.set_many."""
        return await self.run(self._operations.set_many(values, ttl))

    async def delete(self, *keys: str) -> int:
        """As Cache.delete."""
        return await self.run(self._operations.delete(keys))

    async def invalidate(self, *tags: str) -> None:
        """As Cache.invalidate."""
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
        """As Cache.get_or_compute; `compute` may be a coroutine function.

        A lease isn't renewed while the event loop is blocked.
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
        """As Cache.touch."""
        value = await self.run(self._operations.touch(key, ttl))
        return default if value is MISSING else value

    async def commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """As Cache.commands."""
        return await self._send(Send(list(commands), bypass_breaker=True, no_resend=True))

    async def close(self) -> None:
        """As Cache.close."""
        here = asyncio.get_running_loop()
        await asyncio.gather(*(task for task in self._background if task.get_loop() is here), return_exceptions=True)
        await self._lazy.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def run(self, effects: Effects[T]) -> Coroutine[Any, Any, T]:
        """As Cache.run."""
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
