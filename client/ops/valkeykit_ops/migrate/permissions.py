"""Permission check: the commands that a migration needs and a user may not run. No command is executed."""

from __future__ import annotations

from redis.exceptions import AskError, OutOfMemoryError, RedisError, ResponseError

from valkeykit_ops.migrate.context import RunContext
from valkeykit_ops.migrate.pipelined import pack
from valkeykit_ops.migrate.router import Router

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


def denied_commands(context: RunContext, sizes: dict[int, int], *, writes: bool = True) -> dict[str, list[str]]:
    """The commands that `source` and `target` reject.

    Args:
        sizes: Number of keys of the source's databases.
        writes: Whether the target is written to.

    Raises:
        redis.RedisError: A server is unreachable.
    """
    number, key = sample_key(context, sizes)
    if key is None:
        return {"source": ["SCAN"], "target": []}
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


def _denied(router: Router, key: bytes, block: list[bytes]) -> list[str]:
    """The commands that the server rejects; they are queued in a transaction that is discarded."""
    connection = router.connection_for(key)
    answers = connection.request([pack("MULTI"), *block, pack("DISCARD")])
    names = ["MULTI", *(command.split(b"\r\n")[2].decode() for command in block)]
    return [
        name
        for name, answer in zip(names, answers, strict=False)
        if isinstance(answer, RedisError) and not isinstance(answer, AskError | OutOfMemoryError)
    ]
