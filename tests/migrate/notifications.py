"""Every command that changes keys, with an example of it, and what a server notifies about it."""

from __future__ import annotations

from typing import Any, NamedTuple

import redis

FLAG = "write"
UNSUPPORTED_TYPES = frozenset({"vadd", "vrem", "vsetattr"})
"""Commands of types that are not migrated."""

CHANGES_WITHOUT_FLAG = ("pfcount", "eval", "xgroup createconsumer")
"""Commands that change keys although servers do not flag them, or only their container."""


class Example(NamedTuple):
    """A command that changes a key, and the commands that prepare it."""

    setup: str
    command: str


_LIST, _SET, _ZSET, _HASH = "RPUSH k a b c", "SADD k a b c", "ZADD k 1 a 2 b 3 c", "HSET k a 1 b 2"
_STREAM = "XADD k 1-1 f v; XADD k 2-1 f v; XGROUP CREATE k g 0"
_READ = f"{_STREAM}; XREADGROUP GROUP g ada COUNT 1 STREAMS k >"
_GEO = "GEOADD k 13.3 38.1 a 15.0 37.5 b"
_FIELD_TTL = f"{_HASH}; HPEXPIRE k 100000 FIELDS 1 a"

EXAMPLES = {
    "append": Example("SET k a", "APPEND k b"),
    "bitfield": Example("", "BITFIELD k SET u8 0 5"),
    "bitop": Example("SET k a", "BITOP NOT d k"),
    "blmove": Example(_LIST, "BLMOVE k d LEFT RIGHT 1"),
    "blmpop": Example(_LIST, "BLMPOP 1 1 k LEFT"),
    "blpop": Example(_LIST, "BLPOP k 1"),
    "brpop": Example(_LIST, "BRPOP k 1"),
    "brpoplpush": Example(_LIST, "BRPOPLPUSH k d 1"),
    "bzmpop": Example(_ZSET, "BZMPOP 1 1 k MIN"),
    "bzpopmax": Example(_ZSET, "BZPOPMAX k 1"),
    "bzpopmin": Example(_ZSET, "BZPOPMIN k 1"),
    "copy": Example("SET k a", "COPY k d"),
    "decr": Example("", "DECR k"),
    "decrby": Example("", "DECRBY k 2"),
    "del": Example("SET k a", "DEL k"),
    "delifeq": Example("SET k a", "DELIFEQ k a"),
    "eval": Example("", "EVAL redis.call('SET',KEYS[1],1) 1 k"),
    "expire": Example("SET k a", "EXPIRE k 100"),
    "expireat": Example("SET k a", "EXPIREAT k 99999999999"),
    "flushall": Example("SET k a", "FLUSHALL"),
    "flushdb": Example("SET k a", "FLUSHDB"),
    "geoadd": Example("", "GEOADD k 13.3 38.1 a"),
    "georadius": Example(_GEO, "GEORADIUS k 15 37 200 km STORE d"),
    "georadiusbymember": Example(_GEO, "GEORADIUSBYMEMBER k a 200 km STORE d"),
    "geosearchstore": Example(_GEO, "GEOSEARCHSTORE d k FROMMEMBER a BYRADIUS 200 km"),
    "getdel": Example("SET k a", "GETDEL k"),
    "getex": Example("SET k a", "GETEX k EX 100"),
    "getset": Example("SET k a", "GETSET k b"),
    "hdel": Example(_HASH, "HDEL k a"),
    "hexpire": Example(_HASH, "HEXPIRE k 100 FIELDS 1 a"),
    "hexpireat": Example(_HASH, "HEXPIREAT k 9999999999 FIELDS 1 a"),
    "hgetdel": Example(_HASH, "HGETDEL k FIELDS 1 a"),
    "hgetex": Example(_HASH, "HGETEX k EX 100 FIELDS 1 a"),
    "hincrby": Example(_HASH, "HINCRBY k a 1"),
    "hincrbyfloat": Example(_HASH, "HINCRBYFLOAT k a 1.5"),
    "hmset": Example("", "HMSET k a 1"),
    "hpersist": Example(_FIELD_TTL, "HPERSIST k FIELDS 1 a"),
    "hpexpire": Example(_HASH, "HPEXPIRE k 100000 FIELDS 1 a"),
    "hpexpireat": Example(_HASH, "HPEXPIREAT k 9999999999999 FIELDS 1 a"),
    "hset": Example("", "HSET k a 1"),
    "hsetex": Example("", "HSETEX k EX 100 FIELDS 1 a 1"),
    "hsetnx": Example("", "HSETNX k a 1"),
    "incr": Example("", "INCR k"),
    "incrby": Example("", "INCRBY k 2"),
    "incrbyfloat": Example("", "INCRBYFLOAT k 2.5"),
    "linsert": Example(_LIST, "LINSERT k BEFORE b x"),
    "lmove": Example(_LIST, "LMOVE k d LEFT RIGHT"),
    "lmpop": Example(_LIST, "LMPOP 1 k LEFT"),
    "lpop": Example(_LIST, "LPOP k"),
    "lpush": Example("", "LPUSH k a"),
    "lpushx": Example(_LIST, "LPUSHX k a"),
    "lrem": Example(_LIST, "LREM k 0 a"),
    "lset": Example(_LIST, "LSET k 0 x"),
    "ltrim": Example(_LIST, "LTRIM k 1 1"),
    "migrate": Example("SET k a", "MIGRATE 127.0.0.1 {other} k 0 5000"),
    "move": Example("SET k a", "MOVE k 1"),
    "mset": Example("", "MSET k a d b"),
    "msetex": Example("", "MSETEX 1 k a EX 100"),
    "msetnx": Example("", "MSETNX k a d b"),
    "persist": Example("SET k a EX 100", "PERSIST k"),
    "pexpire": Example("SET k a", "PEXPIRE k 100000"),
    "pexpireat": Example("SET k a", "PEXPIREAT k 9999999999999"),
    "pfadd": Example("", "PFADD k a"),
    "pfcount": Example("PFADD k a b c", "PFCOUNT k"),
    "pfdebug": Example("PFADD k a", "PFDEBUG TODENSE k"),
    "pfmerge": Example("PFADD k a", "PFMERGE d k"),
    "psetex": Example("", "PSETEX k 100000 a"),
    "rename": Example("SET k a", "RENAME k d"),
    "renamenx": Example("SET k a", "RENAMENX k d"),
    "restore": Example("", "RESTORE k 0 {payload}"),
    "restore-asking": Example("", "RESTORE-ASKING k 0 {payload}"),
    "rpop": Example(_LIST, "RPOP k"),
    "rpoplpush": Example(_LIST, "RPOPLPUSH k d"),
    "rpush": Example("", "RPUSH k a"),
    "rpushx": Example(_LIST, "RPUSHX k a"),
    "sadd": Example("", "SADD k a"),
    "sdiffstore": Example(_SET, "SDIFFSTORE d k"),
    "set": Example("", "SET k a"),
    "setbit": Example("", "SETBIT k 7 1"),
    "setex": Example("", "SETEX k 100 a"),
    "setnx": Example("", "SETNX k a"),
    "setrange": Example("", "SETRANGE k 2 a"),
    "sinterstore": Example(_SET, "SINTERSTORE d k"),
    "smove": Example(_SET, "SMOVE k d a"),
    "sort": Example("RPUSH k 3 1 2", "SORT k STORE d"),
    "spop": Example(_SET, "SPOP k"),
    "srem": Example(_SET, "SREM k a"),
    "sunionstore": Example(_SET, "SUNIONSTORE d k"),
    "swapdb": Example("SET k a", "SWAPDB 0 1"),
    "unlink": Example("SET k a", "UNLINK k"),
    "xack": Example(_READ, "XACK k g 1-1"),
    "xackdel": Example(f"{_READ}; XGROUP CREATE k h 0", "XACKDEL k g ACKED IDS 1 1-1"),  # h has not read it
    "xadd": Example("", "XADD k 1-1 f v"),
    "xautoclaim": Example(f"{_READ}; XREADGROUP GROUP g bob STREAMS k 0", "XAUTOCLAIM k g bob 0 0"),
    "xclaim": Example(f"{_READ}; XREADGROUP GROUP g bob STREAMS k 0", "XCLAIM k g bob 0 1-1"),
    "xdel": Example(_READ, "XDEL k 1-1"),
    "xdelex": Example(_READ, "XDELEX k IDS 1 1-1"),
    "xgroup": Example(_STREAM, "XGROUP SETID k g 1-1"),
    "xgroup createconsumer": Example(_STREAM, "XGROUP CREATECONSUMER k g ada"),
    "xreadgroup": Example(f"{_STREAM}; XREADGROUP GROUP g ada STREAMS k 0", "XREADGROUP GROUP g ada STREAMS k >"),
    "xsetid": Example(_STREAM, "XSETID k 9-1"),
    "xtrim": Example(_STREAM, "XTRIM k MAXLEN 1"),
    "zadd": Example("", "ZADD k 1 a"),
    "zdiffstore": Example(_ZSET, "ZDIFFSTORE d 1 k"),
    "zincrby": Example(_ZSET, "ZINCRBY k 1 a"),
    "zinterstore": Example(_ZSET, "ZINTERSTORE d 1 k"),
    "zmpop": Example(_ZSET, "ZMPOP 1 k MIN"),
    "zpopmax": Example(_ZSET, "ZPOPMAX k"),
    "zpopmin": Example(_ZSET, "ZPOPMIN k"),
    "zrangestore": Example(_ZSET, "ZRANGESTORE d k 0 1"),
    "zrem": Example(_ZSET, "ZREM k a"),
    "zremrangebylex": Example("ZADD k 0 a 0 b", "ZREMRANGEBYLEX k [a [a"),
    "zremrangebyrank": Example(_ZSET, "ZREMRANGEBYRANK k 0 0"),
    "zremrangebyscore": Example(_ZSET, "ZREMRANGEBYSCORE k 1 1"),
    "zunionstore": Example(_ZSET, "ZUNIONSTORE d 1 k"),
}

_KEYS = (b"k", b"d")
_END = b"end of the example"


def writing_commands(client: Any) -> set[str]:
    """The commands that a server flags as writes."""
    rows = client.execute_command("COMMAND")
    rows = rows.items() if isinstance(rows, dict) else ((row[0].decode(), {"flags": row[2]}) for row in rows)
    return {name.lower() for name, row in rows if any(FLAG in str(flag) for flag in row["flags"])} - UNSUPPORTED_TYPES


def unnotified(client: Any, listener: Any, commands: list[str], *, other: int) -> set[str]:
    """The commands that change a key of database 0 without naming it in a notification.

    Args:
        listener: A subscription to all events.
        other: Port of a server that keys can be moved to.

    Raises:
        AssertionError: An example changes nothing.
    """
    client.set("x", "a")
    payload = client.dump("x")
    found: set[str] = set()
    for name in commands:
        client.flushall()
        setup, command = EXAMPLES[name]
        for step in filter(None, setup.split("; ")):
            client.execute_command(*step.split(" "))
        before = _snapshot(client)
        _named_keys(client, listener)
        words = [payload if word == "{payload}" else word.replace("{other}", str(other)) for word in command.split(" ")]
        client.execute_command(*words)
        named = _named_keys(client, listener)
        after = _snapshot(client)
        changed = {key for key in _KEYS if before[key] != after[key]}
        assert changed, f"{command} changes nothing"
        if not changed <= named:
            found.add(name)
    return found


def _snapshot(client: Any) -> dict[bytes, Any]:
    block = client.pipeline(transaction=False)
    for key in _KEYS:
        block.dump(key).pttl(key)
    answers = block.execute()
    return {key: (payload, left > 0) for key, payload, left in zip(_KEYS, answers[::2], answers[1::2], strict=True)}


def _named_keys(client: Any, listener: Any) -> set[bytes]:
    """The keys that notifications have named since the last call."""
    client.execute_command("PUBLISH", "__keyevent@0__:end", _END)
    named: set[bytes] = set()
    while (message := listener.get_message(timeout=30)) is not None:
        if message["type"] == "pmessage":
            if message["data"] == _END:
                return named
            named.add(message["data"])
    raise redis.TimeoutError("the server sends no notifications")
