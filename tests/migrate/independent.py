"""An independent comparison of two deployments, to judge a migration by.

It shares no code with the product: its own sockets and protocol, no client library, and commands that show values.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 120.0
PAGE = 500

LATE_MS = 5
"""How far expiry times may differ if a server reports only the remaining time, which is read twice."""

DELIVERY_LATE_MS = 1000
"""How far delivery times of pending entries may differ, which are relative to each server's clock."""


class ReplyError(Exception):
    """The server's error."""


class Connection:
    """A connection to one server, with RESP2."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), TIMEOUT_SECONDS)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *words: bytes | str | int) -> Any:
        """The reply to a command.

        Raises:
            ReplyError: the server's error.
        """
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts))
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        assert line.endswith(b"\r\n"), "the server ended the connection"
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        return rest


class Entry(NamedTuple):
    """What clients see of a key. expires: milliseconds since the epoch, -1 for never."""

    kind: str
    value: Any
    expires: int


Deployment = dict[tuple[int, bytes], Entry]


def differences(source: Sequence[int], target: Sequence[int], *, plain: bool = False) -> list[str]:
    """What differs between two deployments, given by the ports of their primaries; empty if nothing does.

    plain: one of them is older than Redis 7.0, which reports no absolute expiry times and counts no stream entries.
    """
    ours, theirs = read(source, plain=plain), read(target, plain=plain)
    found = [f"{key} is missing" for key in ours.keys() - theirs.keys()]
    found += [f"{key} is unexpected" for key in theirs.keys() - ours.keys()]
    late = LATE_MS if plain else 0
    for key in ours.keys() & theirs.keys():
        one, other = ours[key], theirs[key]
        if (one.kind, one.value) != (other.kind, other.value):
            found.append(f"{key} has another value: {str(one)[:200]}, {str(other)[:200]}")
        elif abs(one.expires - other.expires) > late:
            found.append(f"{key} expires at {other.expires} instead of {one.expires}")
    if libraries(source) != libraries(target):
        found.append("function libraries differ")
    return found


def read(ports: Sequence[int], *, plain: bool = False) -> Deployment:
    """All keys of all databases."""
    entries: Deployment = {}
    for port in ports:
        with contextlib.closing(Connection(port)) as connection:
            for database in _databases(connection):
                if database:
                    connection.ask("SELECT", database)
                for key in _keys(connection):
                    entry = _entry(connection, key, plain=plain)
                    if entry is not None:
                        entries[database, key] = entry
    return entries


def libraries(ports: Sequence[int]) -> set[bytes]:
    """The code of the function libraries."""
    found = set()
    for port in ports:
        with contextlib.closing(Connection(port)) as connection, contextlib.suppress(ReplyError):  # older than 7.0
            for row in connection.ask("FUNCTION", "LIST", "WITHCODE"):
                found.add(_pairs(row)[b"library_code"])
    return found


def _databases(connection: Connection) -> list[int]:
    lines = connection.ask("INFO", "keyspace").decode().splitlines()
    return [int(line[2:].partition(":")[0]) for line in lines if line.startswith("db")]


def _keys(connection: Connection) -> set[bytes]:
    keys: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, page = connection.ask("SCAN", cursor, "COUNT", PAGE)
        keys.update(page)
        if cursor == b"0":
            return keys


def _entry(connection: Connection, key: bytes, *, plain: bool) -> Entry | None:
    kind = connection.ask("TYPE", key).decode()
    expires = _remaining(connection, key) if plain else connection.ask("PEXPIRETIME", key)
    value = None if kind == "none" else _value(connection, kind, key, plain=plain)
    return None if kind == "none" or expires == -2 else Entry(kind, value, expires)


def _remaining(connection: Connection, key: bytes) -> int:
    while True:  # the server may be suspended between two commands
        steps: list[list[bytes | str]] = [["MULTI"], ["TIME"], ["PTTL", key], ["TIME"]]
        for words in steps:
            connection.ask(*words)
        before, left, after = connection.ask("EXEC")
        if _milliseconds(after) - _milliseconds(before) <= 1:
            return int(left) + _milliseconds(after) if left >= 0 else int(left)


def _now(connection: Connection) -> int:
    return _milliseconds(connection.ask("TIME"))


def _milliseconds(time: list[bytes]) -> int:
    seconds, micros = time
    return int(seconds) * 1000 + int(micros) // 1000


def _value(connection: Connection, kind: str, key: bytes, *, plain: bool) -> Any:
    if kind == "string":
        return connection.ask("GET", key)
    if kind == "list":
        return connection.ask("LRANGE", key, 0, -1)
    if kind == "set":
        return sorted(connection.ask("SMEMBERS", key))
    if kind == "zset":
        words = connection.ask("ZRANGE", key, 0, -1, "WITHSCORES")
        return [(member, float(score)) for member, score in zip(words[::2], words[1::2], strict=True)]
    if kind == "hash":
        return _fields(connection, key)
    assert kind == "stream", f"{key!r} has the type {kind}"
    return _stream(connection, key, plain=plain)


def _fields(connection: Connection, key: bytes) -> dict[bytes, tuple[bytes, int]]:
    pairs = _pairs(connection.ask("HGETALL", key))
    ends = [-1] * len(pairs)
    if pairs:
        with contextlib.suppress(ReplyError):  # it supports no TTLs of fields
            ends = connection.ask("HPEXPIRETIME", key, "FIELDS", len(pairs), *pairs) or ends
    return {field: (text, end) for (field, text), end in zip(pairs.items(), ends, strict=True) if end != -2}


def _stream(connection: Connection, key: bytes, *, plain: bool) -> Any:
    about = _pairs(connection.ask("XINFO", "STREAM", key))
    names = [b"length", b"last-generated-id", *([] if plain else [b"entries-added", b"max-deleted-entry-id"])]
    groups = sorted(_groups(connection, key, plain=plain))
    return [about[name] for name in names], connection.ask("XRANGE", key, "-", "+"), groups


def _groups(connection: Connection, key: bytes, *, plain: bool) -> Iterator[Any]:
    for row in connection.ask("XINFO", "GROUPS", key):
        group = _pairs(row)
        name = group[b"name"]
        pending = connection.ask("XPENDING", key, name, "-", "+", 1 << 20)
        now = _now(connection)
        consumers = sorted(_pairs(one)[b"name"] for one in connection.ask("XINFO", "CONSUMERS", key, name))
        yield (
            name, group[b"last-delivered-id"], [] if plain else [group[b"entries-read"]], consumers,
            [(identity, consumer, Moment(now - idle), times) for identity, consumer, idle, times in pending],
        )  # fmt: skip


class Moment(int):
    """A time in milliseconds that is equal to another one nearby."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and abs(int(self) - int(other)) <= DELIVERY_LATE_MS

    __hash__ = None  # type: ignore[assignment]  # two that are equal may differ


def _pairs(row: list[Any]) -> dict[bytes, Any]:
    return dict(zip(row[::2], row[1::2], strict=True))
