"""Routing of command blocks to the nodes that own their keys."""

from __future__ import annotations

import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError
from valkeykit.url import Node

from valkeykit_ops.cluster_nodes import SLOTS
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.pipelined import PipelinedConnection, pack

REDIRECTS = (AskError, TryAgainError, ClusterDownError)
"""Errors of a cluster whose slots move. MovedError is an AskError."""

REDIRECT_TIMEOUT_SECONDS = 10.0
"""Maximum time to find the node of a key."""

SLOT_RETRY_INTERVAL_SECONDS = 0.02
"""Pause between two requests to a cluster that is not ready."""

ASKING = pack("ASKING")


def slot_of(key: bytes) -> int:
    """The cluster slot of a key."""
    return binascii.crc_hqx(tag_of(key), 0) % SLOTS


def tag_of(key: bytes) -> bytes:
    """The part of a key that determines its slot: the text between the first braces, if there is any."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


@dataclass
class _Pending:
    keys: Sequence[bytes]
    commands: Sequence[bytes]
    shares: list[tuple[Node, list[int] | range]]


class Router:
    """Sends blocks of commands to one database of a server of any topology. Not thread-safe."""

    def __init__(self, server: MigrationServer, database: int = 0) -> None:
        self.server = server
        self._database = database
        self._connections: dict[Node, PipelinedConnection] = {}
        self._pending: _Pending | None = None
        self._read_layout()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def reset(self) -> None:
        """Discard the connections and their pending replies."""
        self._pending = None
        self.close()
        self._read_layout()

    def call(self, key: bytes, *words: Any) -> Any:
        """The reply to one command.

        Raises:
            redis.RedisError: The server rejected it.
        """
        answer = self.request([key], [pack(*words)])[0]
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def request(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """The replies to encoded commands in one round trip; `keys` has the key of each command.

        Errors of the servers are among the replies.
        """
        self.send(keys, commands)
        return self.receive()

    def send(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> None:
        """Like request, but `receive` returns the replies."""
        assert self._pending is None  # noqa: S101  (replies would be mixed up)
        shares = self._share(keys)
        self._pending = _Pending(keys, commands, shares)
        for node, indices in shares:
            self._connection_to(node).send(b"".join([commands[index] for index in indices]))

    def receive(self) -> list[Any]:
        """The replies to the commands sent last; empty if there are none."""
        if self._pending is None:
            return []
        pending, self._pending = self._pending, None
        if self._only:
            return self._connection_to(self._only).receive(len(pending.commands))
        answers: list[Any] = [None] * len(pending.commands)
        for node, indices in pending.shares:
            for index, answer in zip(indices, self._connection_to(node).receive(len(indices)), strict=True):
                answers[index] = answer
        for index, answer in enumerate(answers):
            if isinstance(answer, REDIRECTS):
                answers[index] = self._follow(pending.keys[index], pending.commands[index], answer)
        return answers

    def connection_for(self, key: bytes) -> PipelinedConnection:
        """The connection to the node that owns a key."""
        return self._connection_to(self._only or self._owner(key))

    def _share(self, keys: Sequence[bytes]) -> list[tuple[Node, list[int] | range]]:
        if self._only:
            return [(self._only, range(len(keys)))]
        shares: dict[Node, list[int] | range] = {}
        for index, key in enumerate(keys):
            shares.setdefault(self._owner(key), []).append(index)  # type: ignore[union-attr]
        return list(shares.items())

    def _follow(self, key: bytes, command: bytes, answer: Any) -> Any:
        """Follow redirects until the owner of the key responds."""
        end, stale = time.monotonic() + REDIRECT_TIMEOUT_SECONDS, False
        while isinstance(answer, REDIRECTS) and time.monotonic() < end:
            if isinstance(answer, AskError):
                host = answer.host or self._owner(key).host  # empty for the same host
                connection, moved = self._connection_to(Node(host, answer.port)), isinstance(answer, MovedError)
                answer = connection.request([command] if moved else [ASKING, command])[-1]
                stale = stale or moved
            else:
                time.sleep(SLOT_RETRY_INTERVAL_SECONDS)
                self._read_layout()
                answer = self._connection_to(self._owner(key)).request([command])[0]
        if stale:
            self._read_layout()
        return answer

    def _owner(self, key: bytes) -> Node:
        try:
            return self._owners[slot_of(key)]
        except KeyError:
            raise ClusterDownError("Hash slot not served", status_code="CLUSTERDOWN") from None

    def _read_layout(self) -> None:
        primaries = self.server.primaries()
        self._only = None if self.server.is_cluster else primaries[0].node
        self._owners = {slot: primary.node for primary in primaries for slot in primary.slots}

    def _connection_to(self, node: Node) -> PipelinedConnection:
        if node not in self._connections:
            self._connections[node] = self.server.connect(node, self._database)
        return self._connections[node]
