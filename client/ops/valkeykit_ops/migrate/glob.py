"""The servers' patterns for names of keys (stringmatchlen), for names that no server has matched, as notifications."""

from __future__ import annotations

import functools
import re

_ANY_BYTE = range(256)


@functools.lru_cache(maxsize=16)
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """The regular expression of a pattern."""
    expression, position = b"", 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        if byte == b"*":
            expression += b".*"
        elif byte == b"?":
            expression += b"."
        elif byte == b"[":
            matched, position = _read_class(pattern, position + 1)
            expression += _any_of(matched)
        else:
            if byte == b"\\" and position + 1 < len(pattern):
                position += 1
            expression += re.escape(pattern[position : position + 1])
        position += 1
    return re.compile(expression, re.DOTALL)


def matches(pattern: bytes, name: bytes) -> bool:
    """Whether a name matches. Servers match the empty name with no other pattern than `*`."""
    if not name:
        return pattern in {b"", b"*"}
    return compiled(pattern).fullmatch(name) is not None


def _read_class(pattern: bytes, position: int) -> tuple[set[int], int]:
    """The bytes of a class, and the position of its last byte; a class without an end lasts to the pattern's end."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    matched: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            position += 1
            matched.add(pattern[position])
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            low, high = sorted((pattern[position], pattern[position + 2]))
            matched.update(range(low, high + 1))
            position += 2
        else:
            matched.add(pattern[position])
        position += 1
    return set(_ANY_BYTE) - matched if negated else matched, position


def _any_of(matched: set[int]) -> bytes:
    if not matched:
        return b"(?!)"
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(matched)) + b"]"
