"""Encoders of the commands that are sent for every key; faster than hiredis."""

from __future__ import annotations

from collections.abc import Callable


def keyed(*words: bytes) -> Callable[[bytes], bytes]:
    """Return an encoder of a command whose last word is a key."""
    head = b"*%d\r\n" % (len(words) + 1) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return lambda key: b"%b$%d\r\n%b\r\n" % (head, len(key), key)


dump = keyed(b"DUMP")
memory = keyed(b"MEMORY", b"USAGE")
type_of = keyed(b"TYPE")
expiry = keyed(b"PEXPIRETIME")
remaining = keyed(b"PTTL")
usage = {name: keyed(b"OBJECT", name.encode()) for name in ("IDLETIME", "FREQ")}
unlink = keyed(b"UNLINK")
exists = keyed(b"EXISTS")

TIME = b"*1\r\n$4\r\nTIME\r\n"


def restore(key: bytes, expires: int, payload: bytes, *, replace: bool, used: tuple[str, int] | None = None) -> bytes:
    """RESTORE.

    Args:
        expires: Milliseconds since the epoch, 0 for never.
        used: IDLETIME or FREQ, and its value.
    """
    when = b"%d" % expires
    tail = b"$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n" if replace else b"$6\r\nABSTTL\r\n"
    words = 6 if replace else 5
    if used is not None:
        name, value = used[0].encode(), b"%d" % used[1]
        tail += b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(value), value)
        words += 2
    return b"*%d\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (
        words, len(key), key, len(when), when, len(payload), payload, tail,
    )  # fmt: skip
