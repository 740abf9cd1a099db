"""Fills a server: migrate_data.py URL mixed|strings|collections|giant NUMBER."""

from __future__ import annotations

import json
import random
import sys

import redis

BLOCK = 1000


def mixed(pipe, dice, number):
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


def strings(pipe, dice, number):
    pipe.set(f"key:{number}", dice.randbytes(100_000))


def collections(pipe, dice, number):
    word = b"%020d" % number
    pipe.hset("hash", word, word).sadd("set", word).zadd("zset", {word: number}).rpush("list", word)


def giant(pipe, dice, number):
    """A hash of so many MiB."""
    pipe.hset("hash", mapping={b"%d:%d" % (number, field): dice.randbytes(1000) for field in range(1000)})


def main():
    url, kind, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    dice = random.Random(1)
    block = {"mixed": BLOCK, "strings": 50, "collections": BLOCK, "giant": 1}[kind]
    pipe = redis.Redis.from_url(url, socket_timeout=60).pipeline(transaction=False)
    for count in range(number):
        globals()[kind](pipe, dice, count)
        if count % block == block - 1:
            pipe.execute()
    pipe.execute()
    print(json.dumps({}))


if __name__ == "__main__":
    main()
