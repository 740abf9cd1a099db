"""Data of every type, and what a client can see of it, to compare two servers by."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import redis

DAY = 86_400_000

KINDS = ("string", "list", "set", "zset", "hash", "stream", "hyperloglog", "bitmap", "geo")


def fill(client: Any, dice: random.Random, keys: int, *, prefix: bytes = b"") -> None:
    """So many keys of random types; some binary, some that end."""
    for number in range(keys):
        write(client, dice, name(dice, number, prefix))


def name(dice: random.Random, number: int, prefix: bytes = b"") -> bytes:
    """A key's name; a few are binary."""
    tail = dice.randbytes(3) if number % 7 == 0 else b""
    return prefix + b"%d:" % number + tail


def write(client: Any, dice: random.Random, key: bytes, kinds: tuple[str, ...] = KINDS) -> None:
    """Make a key what another type's value may have been before."""
    kind = dice.choice(kinds)
    client.delete(key)
    MAKERS[kind](client, dice, key)
    if dice.random() < 0.3:
        client.pexpire(key, dice.randrange(DAY, 30 * DAY))


def _words(dice: random.Random, most: int = 20) -> list[bytes]:
    return [dice.randbytes(dice.randrange(0, 40)) for _ in range(dice.randrange(1, most))]


def _string(client: Any, dice: random.Random, key: bytes) -> None:
    client.set(key, dice.choice([b"", b"12345", b"x" * 300, dice.randbytes(dice.randrange(500))]))


def _list(client: Any, dice: random.Random, key: bytes) -> None:
    client.rpush(key, *_words(dice, 300))


def _set(client: Any, dice: random.Random, key: bytes) -> None:
    client.sadd(key, *dice.choice([_words(dice, 300), range(dice.randrange(1, 700))]))


def _zset(client: Any, dice: random.Random, key: bytes) -> None:
    scores = [dice.random(), -1e300, 1e-5, float("inf"), float("-inf"), 0.1 + 0.2, 17]
    client.zadd(key, {word: dice.choice(scores) for word in _words(dice, 200)})


def _hash(client: Any, dice: random.Random, key: bytes) -> None:
    client.hset(key, mapping={word: dice.randbytes(5) for word in _words(dice, 300)})


def _stream(client: Any, dice: random.Random, key: bytes) -> None:
    for number in range(1, dice.randrange(2, 40)):
        client.xadd(key, {b"f": dice.randbytes(8), b"n": number}, id=f"{number}-{number % 3}")
    for group in ("one", "two"):
        client.xgroup_create(key, group, id="0")
        try:
            client.xgroup_createconsumer(key, group, "idle")
        except redis.ResponseError:  # before 6.2
            client.xreadgroup(group, "idle", {key: "0"})
    read = client.xreadgroup("one", "ada", {key: ">"}, count=10)
    ids = [entry[0] for entry in read[0][1]]
    client.xack(key, "one", *ids[:2])
    client.xdel(key, ids[-1])  # pending, though deleted
    if dice.random() < 0.3:
        client.xtrim(key, maxlen=3, approximate=False)


def _hyperloglog(client: Any, dice: random.Random, key: bytes) -> None:
    client.pfadd(key, *(dice.random() for _ in range(dice.randrange(1, 2000, 100))))


def _bitmap(client: Any, dice: random.Random, key: bytes) -> None:
    for _ in range(5):
        client.setbit(key, dice.randrange(5000), 1)


def _geo(client: Any, dice: random.Random, key: bytes) -> None:
    for number in range(5):
        client.geoadd(key, (dice.uniform(-180, 180), dice.uniform(-80, 80), f"place {number}"))


MAKERS: dict[str, Callable[[Any, random.Random, bytes], None]] = {
    "string": _string, "list": _list, "set": _set, "zset": _zset, "hash": _hash, "stream": _stream,
    "hyperloglog": _hyperloglog, "bitmap": _bitmap, "geo": _geo,
}  # fmt: skip


def fields_that_end(client: Any, key: bytes, number: int = 5) -> None:
    """A hash some of whose fields have TTLs; the server must know them."""
    client.hset(key, mapping={f"f{count}": "v" for count in range(number * 2)})
    for count in range(number):
        client.execute_command("HPEXPIRE", key, DAY + count, "FIELDS", 1, f"f{count}")


def snapshot(client: Any, *, plain: bool = False) -> dict[bytes, Any]:
    """What a client sees of every key: type, value, and when it ends, in milliseconds since the epoch.

    plain: leave out what servers before 7.0 don't know: when a key ends to the millisecond, a stream's counters.
    """
    return {key: look(client, key, plain=plain) for key in client.scan_iter(count=1000)}


def look(client: Any, key: bytes, *, plain: bool = False) -> Any:
    """One key's type, value and end."""
    kind = client.type(key).decode()
    ends = client.pttl(key) > 0 if plain else client.execute_command("PEXPIRETIME", key)
    value = _stream_value(client, key, plain=plain) if kind == "stream" else VALUES[kind](client, key)
    return kind, value, ends


def _stream_value(client: Any, key: bytes, *, plain: bool) -> Any:
    info = client.xinfo_stream(key)
    kept = ("length", "last-generated-id") if plain else (
        "length", "last-generated-id", "entries-added", "max-deleted-entry-id"
    )  # fmt: skip
    groups = []
    for group in client.xinfo_groups(key):
        pending = client.xpending_range(key, group["name"], "-", "+", 1000)
        consumers = sorted(one["name"] for one in client.xinfo_consumers(key, group["name"]))
        seen = [(one["message_id"], one["consumer"], one["times_delivered"]) for one in pending]
        groups.append(
            (group["name"], group["last-delivered-id"], None if plain else group["entries-read"], seen, consumers)
        )
    return [info.get(name) for name in kept], client.xrange(key), sorted(groups)


VALUES: dict[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: client.get(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: client.smembers(key),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "hash": lambda client, key: client.hgetall(key),
}


def raw(port: int) -> redis.Redis:
    """A client that answers bytes."""
    return redis.Redis(host="127.0.0.1", port=port, protocol=2)  # servers before 6.0 have no other
