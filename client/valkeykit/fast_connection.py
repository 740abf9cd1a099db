"""Connections for single commands, which take about half the time of redis-py's own.

Commands are packed by hiredis, and idle connections are kept here rather than in the pool. Unlike the pool, this
doesn't notice a stale connection before it is used: the command fails, and the caller may send it again if it may
run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from hiredis import pack_command
from redis.exceptions import ClusterError, NoScriptError

from valkeykit.aconnection import AsyncClient
from valkeykit.atransport import abandon
from valkeykit.connection import Client
from valkeykit.lua import Script

_UNKNOWN_NODE = "the cluster redirects to a node that it didn't name before"


class FastConnection:
    """Sends commands over a client of any topology; from several threads at once."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._idle: deque[Any] = deque()
        self._waiting: deque[None] = deque()

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script; exceptions of redis-py are not translated."""
        try:
            return self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.send("EVAL", script.source, len(keys), *keys, *arguments)

    def send(self, *command: Any) -> Any:
        """Send a command and return the raw answer; exceptions of redis-py are not translated."""
        if not isinstance(self.client, redis.Redis):
            return self._send_to_cluster(self.client, command)
        connection = self._connection(self.client)
        try:
            connection.send_packed_command([pack_command(command)], check_health=False)
            answer = connection.read_response()
        except redis.ResponseError:
            self._keep(connection)
            raise
        except BaseException:
            self._drop(connection)
            while self._idle:  # those that were idle are most likely stale too
                self._drop(self._idle.pop())
            raise
        self._idle.append(connection)
        if self._waiting:
            self._pass_on(self.client)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._idle.clear()
        self.client.close()

    def _connection(self, client: redis.Redis) -> Any:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._awaited(client)
            if not connection.should_reconnect():
                return connection
            client.connection_pool.release(connection)  # which closes it

    def _awaited(self, client: redis.Redis) -> Any:
        """A connection of the pool. While a caller waits for one, connections that are idle here return to the pool."""
        self._waiting.append(None)
        try:
            self._pass_on(client)
            return client.connection_pool.get_connection()
        finally:
            self._waiting.pop()

    def _pass_on(self, client: redis.Redis) -> None:
        with contextlib.suppress(IndexError):  # another thread was faster
            client.connection_pool.release(self._idle.pop())

    def _keep(self, connection: Any) -> None:
        self._idle.append(connection)
        if self._waiting and isinstance(self.client, redis.Redis):
            self._pass_on(self.client)

    def _send_to_cluster(self, client: redis.RedisCluster, command: tuple[Any, ...]) -> Any:
        try:
            return client.execute_command(*command)
        except AttributeError:  # redis-py's, for an ASK that names a node it doesn't know yet
            client.nodes_manager.initialize()
            raise ClusterError(_UNKNOWN_NODE) from None

    def _drop(self, connection: Any) -> None:
        connection.disconnect()
        self.client.connection_pool.release(connection)  # type: ignore[union-attr]  # not a cluster's


class AsyncFastConnection:
    """FastConnection for asyncio."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._idle: deque[Any] = deque()
        self._waiting = 0

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """As FastConnection.run."""
        try:
            return await self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.send("EVAL", script.source, len(keys), *keys, *arguments)

    async def send(self, *command: Any) -> Any:
        """As FastConnection.send."""
        if not isinstance(self.client, redis.asyncio.Redis):
            return await self._send_to_cluster(self.client, command)
        connection = self._idle.pop() if self._idle else await self._awaited(self.client)
        if connection.should_reconnect():
            connection = await self._renewed(self.client, connection)
        try:
            await connection.send_packed_command([pack_command(command)], check_health=False)
            answer = await connection.read_response()
        except redis.ResponseError:
            await self._keep(connection)
            raise
        except BaseException:  # a cancelled read too: its answer would be taken for the next one's
            await self._drop(connection)
            while self._idle:
                await self._drop(self._idle.pop())
            raise
        if self._waiting:
            await self._keep(connection)
        else:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        self._idle.clear()
        await self.client.aclose()

    def abandon(self) -> None:
        """Cut the connections, from any event loop or none."""
        self._idle.clear()
        abandon(self.client)

    async def _awaited(self, client: redis.asyncio.Redis) -> Any:
        self._waiting += 1
        try:
            return await client.connection_pool.get_connection()
        finally:
            self._waiting -= 1

    async def _keep(self, connection: Any) -> None:
        if self._waiting:  # a cancellation must not lose the connection
            await asyncio.shield(self.client.connection_pool.release(connection))  # type: ignore[union-attr]
        else:
            self._idle.append(connection)

    async def _renewed(self, client: redis.asyncio.Redis, connection: Any) -> Any:
        self._idle.append(connection)
        while self._idle:  # if this one's server has become a replica, so has theirs
            await client.connection_pool.release(self._idle.pop())
        return await client.connection_pool.get_connection()

    async def _send_to_cluster(self, client: redis.asyncio.RedisCluster, command: tuple[Any, ...]) -> Any:
        try:
            return await client.execute_command(*command)
        except AttributeError:
            await client.nodes_manager.initialize()
            raise ClusterError(_UNKNOWN_NODE) from None

    async def _drop(self, connection: Any) -> None:
        await connection.disconnect(nowait=True)
        await self.client.connection_pool.release(connection)  # type: ignore[union-attr]  # not a cluster's
