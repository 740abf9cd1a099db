"""Permission check: the commands that a migration needs and a user may not run. No command is executed."""

from __future__ import annotations

from redis.exceptions import AskError, NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.pipelined import PipelinedConnection, pack
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext

NO_PERMISSION, NO_KEY = "NOPERM", "NOPERM for a key"

PROBE_KEY = b"valkeykit:migrate:probe"

READ_COMMANDS: tuple[tuple[str | int, ...], ...] = (
    ("DUMP",), ("PTTL",), ("TYPE",), ("EXISTS",), ("STRLEN",), ("GETRANGE", 0, 1), ("LLEN",), ("LRANGE", 0, 1),
    ("SCARD",), ("SSCAN", 0), ("ZCARD",), ("ZSCAN", 0), ("HLEN",), ("HSCAN", 0), ("XLEN",), ("XRANGE", "-", "+"),
)  # fmt: skip
"""Commands that both servers need; the key is the second word."""

WRITE_COMMANDS: tuple[tuple[str | int, ...], ...] = (
    ("RESTORE", 0, ""), ("UNLINK",), ("PEXPIREAT", 1), ("APPEND", "x"), ("RPUSH", "x"),
    ("SADD", "x"), ("ZADD", 1, "x"), ("HSET", "x", "y"), ("XADD", "*", "x", "y"),
)  # fmt: skip
"""Commands that only the target needs."""


def denied_commands(context: RunContext, sizes: dict[int, int], *, writes: bool = True) -> dict[str, dict[str, str]]:
    """The commands that `source` and `target` reject, with the first word of the error.

    Args:
        sizes: Number of keys of the source's databases.
        writes: Whether the target is written to.

    Raises:
        redis.RedisError: A server is unreachable.
    """
    number, key = sample_key(context, sizes)
    if key is None:
        return {"source": {"SCAN": NO_PERMISSION}, "target": {}}
    source, target = Router(context.source, number), Router(context.target)
    reads = [*READ_COMMANDS, ("PEXPIRETIME",)] if context.source.has_absolute_ttl else [*READ_COMMANDS]
    name = context.options.scope.name(key)
    changes = [*(_command(words, name) for words in WRITE_COMMANDS), pack("RENAME", name, name)] if writes else []
    try:
        return {
            "source": _denied(source, key, [pack("MEMORY", "USAGE", key), *(_command(words, key) for words in reads)]),
            "target": _denied(target, name, [*(_command(words, name) for words in READ_COMMANDS), *changes]),
        }
    finally:
        source.close()
        target.close()


def sample_key(context: RunContext, sizes: dict[int, int]) -> tuple[int, bytes | None]:
    """A database and a key that the user may access; None if SCAN is rejected."""
    pattern = context.options.scope.pattern
    number = min(sizes, default=0)
    for primary in context.source.primaries():
        connection = context.source.connect(primary.node, number)
        try:
            _, keys = connection.call("SCAN", 0, *(("MATCH", pattern) if pattern else ()), "COUNT", 100)
        except ResponseError:
            return number, None
        finally:
            connection.close()
        if keys:
            return number, keys[0]
    return number, PROBE_KEY


def _command(words: tuple[str | int, ...], key: bytes) -> bytes:
    return pack(words[0], key, *words[1:])


def denied_cut_over(server: MigrationServer, *, pause: bool) -> dict[str, str]:
    """The commands of a cut-over that the source rejects.

    Raises:
        redis.RedisError: It is unreachable.
    """
    block = [pack("COMMAND", "COUNT"), pack("INFO", "commandstats")]
    block += [pack("CLIENT", "PAUSE", 1, "WRITE"), pack("CLIENT", "UNPAUSE")] if pause else []
    connection = server.connect(server.primaries()[0].node)
    try:
        return _queued(connection, block)
    finally:
        connection.close()


def _denied(router: Router, key: bytes, block: list[bytes]) -> dict[str, str]:
    """The commands that the server rejects; they are queued in a transaction that is discarded."""
    return _queued(router.connection_for(key), block)


def _queued(connection: PipelinedConnection, block: list[bytes]) -> dict[str, str]:
    answers = connection.request([pack("MULTI"), *block, pack("DISCARD")])
    names = ["MULTI", *(_name(command) for command in block)]
    return {
        name: _first_word(answer)
        for name, answer in zip(names, answers, strict=False)
        if isinstance(answer, RedisError) and not isinstance(answer, AskError | OutOfMemoryError)
    }


def _name(command: bytes) -> str:
    words = command.split(b"\r\n")
    name = words[2].decode()
    return f"{name} {words[4].decode()}" if name == "CLIENT" else name


def _first_word(problem: RedisError) -> str:
    """redis-py removes the first word of the errors that it knows."""
    if isinstance(problem, ReadOnlyError):
        return "READONLY"
    if isinstance(problem, NoPermissionError):
        return NO_KEY if "key" in str(problem) else NO_PERMISSION
    return str(problem).partition(" ")[0]
