"""Slow log and the other command logs of one node, without the values of the commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis
from redis.exceptions import RedisError

from valkeykit_ops import nodes as deployment

MAX_ENTRIES = 128
"""The server's default length."""

_WITH_SUBCOMMAND = {
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
}  # fmt: skip


@dataclass(frozen=True)
class SlowEntry:
    """A slow command.

    Attributes:
        when: Seconds since the epoch, by the server's clock.
        seconds: Its duration, without the time that it waited for other clients.
        client: Name or address of the client.
        command: Its name and the number of its arguments; neither keys nor values.
    """

    when: float
    seconds: float
    client: str
    command: str


class SlowLog:
    """Reads the slow log when it has a new entry."""

    def __init__(self) -> None:
        self.entries: list[SlowEntry] = []
        """Newest first."""
        self._latest = -1

    def read(self, client: Redis, *, only_id: bool = False) -> int:
        """Read new entries. Return the number of entries ever added; 0 if it is not permitted."""
        newest = deployment.run_raw(client, "SLOWLOG", "GET", "1")
        if isinstance(newest, RedisError) or not newest:
            self.entries = []
            return 0
        latest = int(newest[0][0])
        if latest != self._latest and not only_id:
            reply = deployment.run_raw(client, "SLOWLOG", "GET", str(MAX_ENTRIES))
            self.entries = [] if isinstance(reply, RedisError) else [_entry(*row) for row in reply]
            self._latest = latest
        return latest + 1

    def since(self, when: float) -> list[SlowEntry]:
        """Entries from this time on."""
        return [one for one in self.entries if one.when >= when]


Log = Literal["slow", "large-request", "large-reply"]
"""A log of commands by its limit: their duration, or the size of the request or the reply (Valkey 8.1 or newer)."""


@dataclass(frozen=True)
class LoggedCommand:
    """A command in a log.

    Attributes:
        when: Seconds since the epoch, by the server's clock.
        amount: Microseconds in the slow log, bytes in the others.
        client: Name or address of the client.
        command: Its name and the number of its arguments; neither keys nor values.
    """

    when: float
    amount: int
    client: str
    command: str


def read_log(client: Redis, log: Log, limit: int) -> list[LoggedCommand]:
    """The latest entries of a log, newest first.

    Raises:
        RedisError: The server does not respond or has no such log, or the user may not read it.
    """
    command = ("SLOWLOG", "GET", str(limit)) if log == "slow" else ("COMMANDLOG", "GET", str(limit), log)
    reply = deployment.run_raw(client, *command)
    if isinstance(reply, RedisError):
        raise reply
    return [_logged(*row) for row in reply]


def _logged(_: Any, when: Any, amount: Any, words: Any, address: Any = b"", name: Any = b"", *__: Any) -> LoggedCommand:
    return LoggedCommand(float(when), int(amount), _text(name) or _text(address), _command(words))


def _entry(*row: Any) -> SlowEntry:
    one = _logged(*row)
    return SlowEntry(one.when, one.amount / 1e6, one.client, one.command)


def _command(words: list[Any]) -> str:
    """The name of a command, without its arguments, which the server cuts off after 31."""
    if not words:
        return ""
    name = _text(words[0]).upper()
    if name in _WITH_SUBCOMMAND and len(words) > 1:
        name = f"{name} {_text(words[1]).upper()}"
    number = len(words) - len(name.split())
    return f"{name}, {number} argument{'' if number == 1 else 's'}"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
