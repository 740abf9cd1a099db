"""Fills a server: migrate_data.py URL mixed|strings|collections|giant NUMBER."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any

import redis


def mixed(pipe: Any, dice: random.Random, number: int) -> None:
    key = f"key:{number}"
    kind = number % 5
    if kind < 2:
        pipe.set(key, dice.randbytes(60))
    elif kind == 2:
        pipe.hset(key, mapping={f"f{field}": "v" * 10 for field in range(5)})
    elif kind == 3:
        pipe.rpush(key, *range(8))
    else:
        pipe.zadd(key, {f"m{member}": member for member in range(5)})
    if number % 4 == 0:
        pipe.expire(key, 100_000)


def strings(pipe: Any, dice: random.Random, number: int) -> None:
    pipe.set(f"key:{number}", dice.randbytes(100_000))


def collections(pipe: Any, dice: random.Random, number: int) -> None:
    word = b"%020d" % number
    pipe.hset("hash", word, word).sadd("set", word).zadd("zset", {word: number}).rpush("list", word)


def giant(pipe: Any, dice: random.Random, number: int) -> None:
    """A hash of so many MiB."""
    pipe.hset("hash", mapping={b"%d:%d" % (number, field): dice.randbytes(1000) for field in range(1000)})


KINDS: dict[str, tuple[Callable[[Any, random.Random, int], None], int]] = {
    "mixed": (mixed, 1000), "strings": (strings, 50), "collections": (collections, 1000), "giant": (giant, 1),
}  # fmt: skip
"""What writes one item, and how many go together."""


def main() -> None:
    url, number = sys.argv[1], int(sys.argv[3])
    write, block = KINDS[sys.argv[2]]
    dice = random.Random(1)
    pipe = redis.Redis.from_url(url, socket_timeout=60).pipeline(transaction=False)
    for count in range(number):
        write(pipe, dice, count)
        if count % block == block - 1:
            pipe.execute()
    pipe.execute()
    print(json.dumps({}))


if __name__ == "__main__":
    main()
