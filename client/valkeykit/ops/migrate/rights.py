"""Which of the commands that a migration needs the two users may not run; found without running any."""

from __future__ import annotations

from redis.exceptions import AskError, OutOfMemoryError, RedisError, ResponseError

from valkeykit.ops.migrate.job import Job
from valkeykit.ops.migrate.router import Router
from valkeykit.ops.migrate.wire import pack

PROBE = b"valkeykit:migrate:probe"

READS: tuple[tuple[str | int, ...], ...] = (
    ("DUMP",), ("PTTL",), ("TYPE",), ("EXISTS",), ("STRLEN",), ("GETRANGE", 0, 1), ("LLEN",), ("LRANGE", 0, 1),
    ("SCARD",), ("SSCAN", 0), ("ZCARD",), ("ZSCAN", 0), ("HLEN",), ("HSCAN", 0), ("XLEN",), ("XRANGE", "-", "+"),
)  # fmt: skip
"""Commands that each side needs; the key comes second."""

WRITES: tuple[tuple[str | int, ...], ...] = (
    ("RESTORE", 0, ""), ("UNLINK",), ("PEXPIREAT", 1), ("APPEND", "x"), ("RPUSH", "x"),
    ("SADD", "x"), ("ZADD", 1, "x"), ("HSET", "x", "y"), ("XADD", "*", "x", "y"),
)  # fmt: skip
"""Commands that only the target needs."""


def refused(job: Job, sizes: dict[int, int]) -> dict[str, list[str]]:
    """The commands that `source` and `target` refuse.

    sizes: keys of the source's databases.

    Raises:
        redis.RedisError: a side can't be reached.
    """
    number, key = some_key(job, sizes)
    if key is None:
        return {"source": ["SCAN"], "target": []}
    source, target = Router(job.source, number), Router(job.target)
    reads = [*READS, ("PEXPIRETIME",)] if job.source.has_absolute_ttl else [*READS]
    name = job.options.scope.name(key)
    try:
        return {
            "source": _refused(source, key, [pack("MEMORY", "USAGE", key), *(_command(words, key) for words in reads)]),
            "target": _refused(
                target,
                name,
                [*(_command(words, name) for words in (*READS, *WRITES)), pack("RENAME", name, name)],
            ),
        }
    finally:
        source.close()
        target.close()


def some_key(job: Job, sizes: dict[int, int]) -> tuple[int, bytes | None]:
    """A database and a key that the user may touch; no key where SCAN is refused."""
    pattern = job.options.scope.pattern
    number = min(sizes, default=0)
    for primary in job.source.primaries():
        wire = job.source.wire(primary.node, number)
        try:
            _, keys = wire.call("SCAN", 0, *(("MATCH", pattern) if pattern else ()), "COUNT", 100)
        except ResponseError:
            return number, None
        finally:
            wire.close()
        if keys:
            return number, keys[0]
    return number, PROBE


def _command(words: tuple[str | int, ...], key: bytes) -> bytes:
    return pack(words[0], key, *words[1:])


def _refused(router: Router, key: bytes, block: list[bytes]) -> list[str]:
    """The commands that the server won't take; they are queued in a transaction that is then discarded."""
    wire = router.holder(key)
    answers = wire.ask([pack("MULTI"), *block, pack("DISCARD")])
    names = ["MULTI", *(command.split(b"\r\n")[2].decode() for command in block)]
    return [
        name
        for name, answer in zip(names, answers, strict=False)
        if isinstance(answer, RedisError) and not isinstance(answer, AskError | OutOfMemoryError)
    ]
