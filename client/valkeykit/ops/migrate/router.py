"""Commands for keys, in blocks, to the nodes that hold them."""

from __future__ import annotations

import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError

from valkeykit.ops.migrate.server import SLOTS, Server
from valkeykit.ops.migrate.wire import Wire, pack
from valkeykit.url import Node

REDIRECTS = (AskError, TryAgainError, ClusterDownError)
"""Answers of a cluster whose slots move. MovedError is an AskError."""

PATIENCE = 10.0
"""Seconds in which a key must find its node."""

RETRY_EVERY = 0.02
"""Seconds between two questions to a cluster that can't answer now."""

ASKING = pack("ASKING")


def slot_of(key: bytes) -> int:
    """The slot of a cluster in which a key lies."""
    return binascii.crc_hqx(tag_of(key), 0) % SLOTS


def tag_of(key: bytes) -> bytes:
    """What of a key decides on its slot: the text between the first braces, if there is some."""
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
    """Sends blocks of commands to one database of a server, whatever its topology. Not for several threads."""

    def __init__(self, server: Server, database: int = 0) -> None:
        self.server = server
        self._database = database
        self._wires: dict[Node, Wire] = {}
        self._pending: _Pending | None = None
        self._read_layout()

    def close(self) -> None:
        """Close the connections."""
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def reset(self) -> None:
        """Forget the connections and what was sent over them."""
        self._pending = None
        self.close()
        self._read_layout()

    def call(self, key: bytes, *words: Any) -> Any:
        """One command's answer.

        Raises:
            redis.RedisError: the server refused it.
        """
        answer = self.ask([key], [pack(*words)])[0]
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def ask(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """The answers to packed commands, each for the key at its place, in one round trip.

        Errors that a server answered are among them.
        """
        self.send(keys, commands)
        return self.receive()

    def send(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> None:
        """As ask, but the answers stay where they are until `receive`."""
        assert self._pending is None  # noqa: S101  (an answer would be taken for another's)
        shares = self._share(keys)
        self._pending = _Pending(keys, commands, shares)
        for node, indices in shares:
            self._wire(node).send(b"".join([commands[index] for index in indices]))

    def receive(self) -> list[Any]:
        """The answers to what was sent last; none if nothing was."""
        if self._pending is None:
            return []
        pending, self._pending = self._pending, None
        if self._only:
            return self._wire(self._only).receive(len(pending.commands))
        answers: list[Any] = [None] * len(pending.commands)
        for node, indices in pending.shares:
            for index, answer in zip(indices, self._wire(node).receive(len(indices)), strict=True):
                answers[index] = answer
        for index, answer in enumerate(answers):
            if isinstance(answer, REDIRECTS):
                answers[index] = self._follow(pending.keys[index], pending.commands[index], answer)
        return answers

    def holder(self, key: bytes) -> Wire:
        """The connection to the node that has a key."""
        return self._wire(self._only or self._holder(key))

    def _share(self, keys: Sequence[bytes]) -> list[tuple[Node, list[int] | range]]:
        if self._only:
            return [(self._only, range(len(keys)))]
        shares: dict[Node, list[int] | range] = {}
        for index, key in enumerate(keys):
            shares.setdefault(self._holder(key), []).append(index)  # type: ignore[union-attr]
        return list(shares.items())

    def _follow(self, key: bytes, command: bytes, answer: Any) -> Any:
        """Ask again where a node said that the key is elsewhere."""
        end, stale = time.monotonic() + PATIENCE, False
        while isinstance(answer, REDIRECTS) and time.monotonic() < end:
            if isinstance(answer, AskError):
                host = answer.host or self._holder(key).host  # empty where it is the same one
                wire, moved = self._wire(Node(host, answer.port)), isinstance(answer, MovedError)
                answer = wire.ask([command] if moved else [ASKING, command])[-1]
                stale = stale or moved
            else:
                time.sleep(RETRY_EVERY)
                self._read_layout()
                answer = self._wire(self._holder(key)).ask([command])[0]
        if stale:
            self._read_layout()
        return answer

    def _holder(self, key: bytes) -> Node:
        try:
            return self._holders[slot_of(key)]
        except KeyError:
            raise ClusterDownError("Hash slot not served", status_code="CLUSTERDOWN") from None

    def _read_layout(self) -> None:
        primaries = self.server.primaries()
        self._only = None if self.server.is_cluster else primaries[0].node
        self._holders = {slot: primary.node for primary in primaries for slot in primary.slots}

    def _wire(self, node: Node) -> Wire:
        if node not in self._wires:
            self._wires[node] = self.server.wire(node, self._database)
        return self._wires[node]
