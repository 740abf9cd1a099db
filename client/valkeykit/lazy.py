"""A channel that is opened at the first call, and what threads, event loops and forks need for that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

from valkeykit.channel import AsyncChannel, Channel


class LazyChannel:
    """Callers that come while it is being opened share the outcome, so that none waits for several attempts.

    channel: the open one; None where there is none yet.
    """

    channel: Channel | None
    _attempt: Future[Channel | None] | None
    _lock: threading.Lock

    def __init__(self) -> None:
        self._forget()
        _inherited.add(self)

    def open(self, connect: Callable[[], Channel]) -> Channel:
        """The channel, opened where it isn't yet. What `connect` raises goes to all who wait for it."""
        while True:
            with self._lock:
                if self.channel is not None:
                    return self.channel
                attempt, is_mine = self._attempt or Future(), self._attempt is None
                self._attempt = attempt
            if is_mine:
                return self._try(connect, attempt)
            channel = attempt.result()
            if channel is not None:
                return channel

    def close(self) -> None:
        """Close it; the next call opens another one."""
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    def _try(self, connect: Callable[[], Channel], attempt: Future[Channel | None]) -> Channel:
        try:
            channel = connect()
        except BaseException as error:
            self._attempt = None
            if isinstance(error, Exception):
                attempt.set_exception(error)
            else:  # it was meant for this thread alone
                attempt.set_result(None)
            raise
        with self._lock:
            self.channel, self._attempt = channel, None
        attempt.set_result(channel)
        return channel

    def _forget(self) -> None:
        """After a fork too: the parent keeps its channel, and its threads may have held the lock."""
        self.channel = None
        self._attempt = None
        self._lock = threading.Lock()


class AsyncLazyChannel:
    """LazyChannel for asyncio: a channel for each event loop. One of a loop that has ended is dropped."""

    def __init__(self) -> None:
        self._parent: Any = None
        self._forget()
        _inherited.add(self)

    def current(self) -> AsyncChannel | None:
        """The running loop's channel, where it is open."""
        return self._channels.get(asyncio.get_running_loop())

    async def open(self, connect: Callable[[], Awaitable[AsyncChannel]]) -> AsyncChannel:
        """As LazyChannel.open."""
        if (channel := self.current()) is not None:
            return channel
        loop = asyncio.get_running_loop()
        attempt = self._attempts.get(loop)
        if attempt is None:
            self._drop_ended()
            attempt = self._attempts[loop] = loop.create_task(self._try(connect, loop))
            attempt.add_done_callback(_retrieve)
        return await asyncio.shield(attempt)

    async def close(self) -> None:
        """Close the channels of all loops."""
        self._drop_ended()
        here = asyncio.get_running_loop()
        mine = self._channels.pop(here, None)
        for loop in tuple(self._channels):  # another thread's
            other = self._channels.pop(loop, None)
            if other is not None:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(other.abandon)
        if mine is not None:
            await mine.close()

    async def _try(
        self, connect: Callable[[], Awaitable[AsyncChannel]], loop: asyncio.AbstractEventLoop
    ) -> AsyncChannel:
        try:
            channel = await connect()
        finally:
            self._attempts.pop(loop, None)
        self._channels[loop] = channel
        return channel

    def _drop_ended(self) -> None:
        for loop in [loop for loop in tuple(self._channels) if loop.is_closed()]:
            channel = self._channels.pop(loop, None)
            if channel is not None:
                _run_at_once(loop)
                channel.abandon()
        for loop in [loop for loop in tuple(self._attempts) if loop.is_closed()]:
            self._attempts.pop(loop, None)

    def _forget(self) -> None:
        if self._parent is None:
            self._parent = getattr(self, "_channels", None)  # kept: to close them would end the parent's
        self._channels: dict[asyncio.AbstractEventLoop, AsyncChannel] = {}
        self._attempts: dict[asyncio.AbstractEventLoop, asyncio.Task[AsyncChannel]] = {}


_inherited: weakref.WeakSet[LazyChannel | AsyncLazyChannel] = weakref.WeakSet()
"""What a child process has of its parent's."""


def _forget_all(lazy: Iterable[LazyChannel | AsyncLazyChannel] = _inherited) -> None:
    for one in lazy:
        one._forget()


os.register_at_fork(after_in_child=_forget_all)


def _retrieve(attempt: asyncio.Task[AsyncChannel]) -> None:
    """All that waited for it may be gone."""
    if not attempt.cancelled():
        attempt.exception()


def _run_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that has ended runs no callback any more, and asyncio's transports close by one."""
    with contextlib.suppress(AttributeError):

        def call(callback: Callable[..., Any], *arguments: Any, context: Any = None) -> None:  # noqa: ARG001
            callback(*arguments)

        loop.call_soon = call  # type: ignore[method-assign,assignment]
