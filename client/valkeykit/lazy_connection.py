"""Lazy connections: opened at the first call, safe with threads, event loops and forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

from valkeykit.fast_connection import AsyncFastConnection, FastConnection


class LazyConnection:
    """A connection that is opened once. Callers that arrive meanwhile share the outcome of the attempt.

    Attributes:
        connection: The open connection; None before the first one.
    """

    connection: FastConnection | None
    _attempt: Future[FastConnection | None] | None
    _lock: threading.Lock

    def __init__(self) -> None:
        self._forget()
        _inherited.add(self)

    def open(self, connect: Callable[[], FastConnection]) -> FastConnection:
        """Return the connection; open it first if necessary. All waiting callers get what `connect` raises."""
        while True:
            with self._lock:
                if self.connection is not None:
                    return self.connection
                attempt, is_mine = self._attempt or Future(), self._attempt is None
                self._attempt = attempt
            if is_mine:
                return self._try(connect, attempt)
            connection = attempt.result()
            if connection is not None:
                return connection

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _try(self, connect: Callable[[], FastConnection], attempt: Future[FastConnection | None]) -> FastConnection:
        try:
            connection = connect()
        except BaseException as error:
            self._attempt = None
            if isinstance(error, Exception):
                attempt.set_exception(error)
            else:  # it was meant for this thread alone
                attempt.set_result(None)
            raise
        with self._lock:
            self.connection, self._attempt = connection, None
        attempt.set_result(connection)
        return connection

    def _forget(self) -> None:
        """Start from scratch, also after a fork: the parent owns the connection, and may have held the lock."""
        self.connection = None
        self._attempt = None
        self._lock = threading.Lock()


class AsyncLazyConnection:
    """LazyConnection for asyncio: one connection for each event loop. That of a closed loop is dropped."""

    def __init__(self) -> None:
        self._parent: Any = None
        self._forget()
        _inherited.add(self)

    def current(self) -> AsyncFastConnection | None:
        """The running loop's connection; None if it isn't open."""
        return self._connections.get(asyncio.get_running_loop())

    async def open(self, connect: Callable[[], Awaitable[AsyncFastConnection]]) -> AsyncFastConnection:
        """As LazyConnection.open."""
        if (connection := self.current()) is not None:
            return connection
        loop = asyncio.get_running_loop()
        attempt = self._attempts.get(loop)
        if attempt is None:
            self._drop_ended()
            attempt = self._attempts[loop] = loop.create_task(self._try(connect, loop))
            attempt.add_done_callback(_retrieve)
        return await asyncio.shield(attempt)

    async def close(self) -> None:
        """Close the connections of all loops."""
        self._drop_ended()
        here = asyncio.get_running_loop()
        mine = self._connections.pop(here, None)
        for loop in tuple(self._connections):  # another thread's
            other = self._connections.pop(loop, None)
            if other is not None:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(other.abandon)
        if mine is not None:
            await mine.close()

    async def _try(
        self, connect: Callable[[], Awaitable[AsyncFastConnection]], loop: asyncio.AbstractEventLoop
    ) -> AsyncFastConnection:
        try:
            connection = await connect()
        finally:
            self._attempts.pop(loop, None)
        self._connections[loop] = connection
        return connection

    def _drop_ended(self) -> None:
        for loop in [loop for loop in tuple(self._connections) if loop.is_closed()]:
            connection = self._connections.pop(loop, None)
            if connection is not None:
                _run_at_once(loop)
                connection.abandon()
        for loop in [loop for loop in tuple(self._attempts) if loop.is_closed()]:
            self._attempts.pop(loop, None)

    def _forget(self) -> None:
        if self._parent is None:
            self._parent = getattr(self, "_connections", None)  # kept: to close them would end the parent's
        self._connections: dict[asyncio.AbstractEventLoop, AsyncFastConnection] = {}
        self._attempts: dict[asyncio.AbstractEventLoop, asyncio.Task[AsyncFastConnection]] = {}


_inherited: weakref.WeakSet[LazyConnection | AsyncLazyConnection] = weakref.WeakSet()
"""All lazy connections; a child process must not use those of its parent."""


def _forget_all(lazy: Iterable[LazyConnection | AsyncLazyConnection] = _inherited) -> None:
    for one in lazy:
        one._forget()


os.register_at_fork(after_in_child=_forget_all)


def _retrieve(attempt: asyncio.Task[AsyncFastConnection]) -> None:
    """Retrieve the exception: all callers that waited may be gone, and asyncio would log it."""
    if not attempt.cancelled():
        attempt.exception()


def _run_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Make a closed loop run callbacks at once: asyncio's transports close with a callback."""
    with contextlib.suppress(AttributeError):

        def call(callback: Callable[..., Any], *arguments: Any, context: Any = None) -> None:  # noqa: ARG001
            callback(*arguments)

        loop.call_soon = call  # type: ignore[method-assign,assignment]
