"""The shortest way from a queue to a script on the server.

A single `add` is mostly redis-py's own time: about half of it goes when the command is
packed once and the connection is kept here rather than in its pool. It may be stale, then;
that is an error like any other, and the call is sent again.
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
from valkeykit.queue.lua import Script


class Channel:
    """Runs scripts over a client of any topology; from several threads at once."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._idle: deque[Any] = deque()
        self._process = os.getpid()

    def run(self, script: Script, key: str, arguments: Sequence[Any]) -> Any:
        """The script's answer. What redis-py raises comes through."""
        send = self._send if isinstance(self.client, redis.Redis) else self.client.execute_command
        try:
            return send("EVALSHA", script.sha, 1, key, *arguments)
        except NoScriptError:
            return send("EVAL", script.source, 1, key, *arguments)

    def close(self) -> None:
        self._idle.clear()
        self.client.close()

    def _send(self, *command: Any) -> Any:
        assert isinstance(self.client, redis.Redis)  # noqa: S101
        connection = self._connection(self.client)
        try:
            connection.send_packed_command([pack_command(command)], check_health=False)
            answer = connection.read_response()
        except redis.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            self.client.connection_pool.release(connection)
            raise
        self._idle.append(connection)
        return answer

    def _connection(self, client: redis.Redis) -> Any:
        if self._process != os.getpid():  # a connection must not be shared with the parent
            self._idle.clear()
            self._process = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return client.connection_pool.get_connection()


class AsyncChannel:
    """Channel for asyncio."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._idle: deque[Any] = deque()

    async def run(self, script: Script, key: str, arguments: Sequence[Any]) -> Any:
        """The script's answer. What redis-py raises comes through."""
        try:
            return await self.send("EVALSHA", script.sha, 1, key, *arguments)
        except NoScriptError:
            return await self.send("EVAL", script.source, 1, key, *arguments)

    async def send(self, *command: Any) -> Any:
        """The answer to any command on one key, as the server gives it."""
        if not isinstance(self.client, redis.asyncio.Redis):
            return await self.client.execute_command(*command)
        pool = self.client.connection_pool
        connection = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            await connection.send_packed_command([pack_command(command)], check_health=False)
            answer = await connection.read_response()
        except redis.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:  # a cancelled read too: its answer would be taken for the next one's
            await connection.disconnect(nowait=True)
            await pool.release(connection)
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        self._idle.clear()
        await self.client.aclose()
