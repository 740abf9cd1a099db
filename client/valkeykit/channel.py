"""The shortest way to the server for a single command.

Such a command is mostly redis-py's own time: about half of it goes when the command is
packed once and the connection is kept here rather than in its pool. It may be stale, then,
which the pool would have noticed: that is an error like any other, and whoever calls may
send again only what may run twice.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from hiredis import pack_command
from redis.exceptions import NoScriptError

from valkeykit.aconnection import AsyncClient
from valkeykit.connection import Client
from valkeykit.lua import Script


class Channel:
    """Sends commands over a client of any topology; from several threads at once."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._idle: deque[Any] = deque()
        self._process = os.getpid()

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """The script's answer. What redis-py raises comes through."""
        try:
            return self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.send("EVAL", script.source, len(keys), *keys, *arguments)

    def send(self, *command: Any) -> Any:
        """The answer as the server gives it. What redis-py raises comes through."""
        if not isinstance(self.client, redis.Redis):
            return self.client.execute_command(*command)
        connection = self._connection(self.client)
        try:
            connection.send_packed_command([pack_command(command)], check_health=False)
            answer = connection.read_response()
        except redis.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            self._drop(connection)
            while self._idle:  # those that were idle are most likely stale too
                self._drop(self._idle.pop())
            raise
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._idle.clear()
        self.client.close()

    def _connection(self, client: redis.Redis) -> Any:
        if self._process != os.getpid():  # a connection must not be shared with the parent
            self._idle.clear()
            self._process = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return client.connection_pool.get_connection()

    def _drop(self, connection: Any) -> None:
        connection.disconnect()
        self.client.connection_pool.release(connection)  # type: ignore[union-attr]  # not a cluster's


class AsyncChannel:
    """Channel for asyncio."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._idle: deque[Any] = deque()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """As Channel.run."""
        try:
            return await self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.send("EVAL", script.source, len(keys), *keys, *arguments)

    async def send(self, *command: Any) -> Any:
        """As Channel.send."""
        if not isinstance(self.client, redis.asyncio.Redis):
            return await self.client.execute_command(*command)
        connection = self._idle.pop() if self._idle else await self.client.connection_pool.get_connection()
        try:
            await connection.send_packed_command([pack_command(command)], check_health=False)
            answer = await connection.read_response()
        except redis.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:  # a cancelled read too: its answer would be taken for the next one's
            await self._drop(connection)
            while self._idle:
                await self._drop(self._idle.pop())
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        self._idle.clear()
        await self.client.aclose()

    async def _drop(self, connection: Any) -> None:
        await connection.disconnect(nowait=True)
        await self.client.connection_pool.release(connection)  # type: ignore[union-attr]  # not a cluster's
