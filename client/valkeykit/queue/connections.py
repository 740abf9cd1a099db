"""Connections of queues: opened, checked to suit a queue, and registered in the list of queues."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from valkeykit.aconnection import open_async_client
from valkeykit.connection import open_client
from valkeykit.errors import UnsupportedServerError
from valkeykit.fast_connection import AsyncFastConnection, FastConnection
from valkeykit.queue.base import QueueBase
from valkeykit.queue.eager import no_server
from valkeykit.queue.schema import REGISTRY_KEY
from valkeykit.version_numbers import parse_version

MIN_VERSION = (7, 2)
"""The first release of Valkey; it has the scripts and the LMPOP that the queue needs."""

_logger = logging.getLogger("valkeykit.queue")


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


def verify_server(server: Mapping[str, Any], memory: Mapping[str, Any], *, allow_eviction: bool) -> None:
    """Check the responses to INFO server and INFO memory.

    Raises:
        UnsupportedServerError: The server isn't Valkey, is too old, or evicts jobs.
    """
    info = _of_one_node(server) | _of_one_node(memory)
    if info.get("server_name", "valkey" if "valkey_version" in info else "redis") != "valkey":
        raise UnsupportedServerError(
            f"the server is Redis {info.get('redis_version', '')}, but queues need Valkey",
            fix="run Valkey 7.2 or newer",
        )
    version = str(info.get("valkey_version", "0"))
    if parse_version(version)[:2] < MIN_VERSION:
        raise UnsupportedServerError(f"the server is Valkey {version}, older than 7.2", fix="upgrade the server")
    _check_eviction(str(info.get("maxmemory_policy", "noeviction")), allow_eviction=allow_eviction)


def _check_eviction(policy: str, *, allow_eviction: bool) -> None:
    if policy == "noeviction":
        return
    if policy.startswith("volatile-"):
        _logger.info("the server evicts keys with a TTL (%s): results and dedup keys may go early", policy)
    elif allow_eviction:
        _logger.warning("the server evicts any key (%s): jobs may be lost", policy)
    else:
        raise UnsupportedServerError(
            f"the server evicts any key when its memory is full ({policy}), so it would lose jobs",
            fix="set maxmemory-policy noeviction (a stack: pulumi config set workload mixed; make up), "
            "or pass allow_eviction=True",
        )


def _of_one_node(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The response of one node: a cluster's client returns those of all nodes, which have the same configuration."""
    nodes = [value for value in answer.values() if isinstance(value, Mapping) and len(value) > 5]
    return dict(nodes[0] if nodes else answer)
