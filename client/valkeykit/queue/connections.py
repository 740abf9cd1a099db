"""Connections of queues: opened, checked to suit a queue, and registered in the list of queues."""

from __future__ import annotations

from contextlib import suppress

from redis.exceptions import NoPermissionError, ResponseError

from valkeykit.aconnection import open_async_client
from valkeykit.connection import open_client
from valkeykit.fast_connection import AsyncFastConnection, FastConnection
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.schema import REGISTRY_KEY
from valkeykit.queue.server_checks import verify_server


def open_connection(queue: QueueBase) -> FastConnection:
    """Connect to the server of a queue.

    Raises:
        ConfigurationError: USE_VALKEY_QUEUE is off, or a setting can't be used.
        UnsupportedServerError: The server doesn't suit a queue.
        redis.RedisError: The server can't be reached.
    """
    if queue.eager is not None:
        raise no_server()
    client = open_client(queue.settings(), require_topology=True)
    try:
        verify_server(client.info("server"), client.info("memory"), allow_eviction=queue.allow_eviction)
    except NoPermissionError:
        pass  # this user may not run INFO, so the server can't be checked
    except BaseException:
        client.close()
        raise
    connection = FastConnection(client)
    with suppress(ResponseError):  # a user without this right, a full server: the queue is only not listed
        connection.send("SADD", REGISTRY_KEY, queue.name)
    return connection


async def open_async_connection(queue: QueueBase) -> AsyncFastConnection:
    """As open_connection."""
    if queue.eager is not None:
        raise no_server()
    client = await open_async_client(queue.settings(), require_topology=True)
    try:
        server, memory = await client.info("server"), await client.info("memory")
        verify_server(server, memory, allow_eviction=queue.allow_eviction)
    except NoPermissionError:
        pass
    except BaseException:
        await client.aclose()
        raise
    connection = AsyncFastConnection(client)
    with suppress(ResponseError):
        await connection.send("SADD", REGISTRY_KEY, queue.name)
    return connection
