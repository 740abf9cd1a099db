"""What the server holds under a key: how long it may be served stale, its tags with their versions, the value."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from valkeykit.cache.codec import Codec, CorruptEntryError
from valkeykit.cache.keys import Keys, escape
from valkeykit.cache.steps import Command, Send, Steps

MISSING: Final = object()
"""What a read gives where there is nothing and no default was passed, so that None can be cached."""

TAG_TTL_MS = 31 * 86_400_000
"""A tag's version is kept this long, and as long as any entry that has it. One that is gone ends its entries."""

_TAGGED = b"\x03"
_STALE = b"\x04"
_MARKS = (_TAGGED, _STALE)
_VERSION = 8


class _Parts(NamedTuple):
    tags: dict[str, bytes]
    value: bytes


class Entries:
    """Reads entries and writes what goes before their values."""

    def __init__(self, keys: Keys, codec: Codec) -> None:
        self._keys = keys
        self._codec = codec

    def decode(self, entry: bytes | None) -> Any:
        """The value of an entry without header; MISSING where there is none or it is corrupt."""
        if entry is None:
            return MISSING
        try:
            return self._codec.decode(entry)
        except CorruptEntryError:
            return MISSING

    def read(self, entry: bytes | None) -> Steps[Any]:
        """An entry's value; MISSING where it is corrupt or one of its tags has been invalidated."""
        if not has_header(entry):
            return self.decode(entry)
        (value,) = yield from self.read_many([entry])
        return value

    def read_many(self, entries: Sequence[bytes | None]) -> Steps[list[Any]]:
        """The values of several, with one round trip for the tags of them all."""
        parts = [_split(entry) for entry in entries]
        tags = list({tag: None for part in parts if part for tag in part.tags})
        versions = (yield Send([("GET", self._key(tag)) for tag in tags])) if tags else []
        current = dict(zip(tags, versions, strict=True))
        return [
            self.decode(part.value)
            if part and all(current[tag] == version for tag, version in part.tags.items())
            else MISSING
            for part in parts
        ]

    def versions(self, tags: Sequence[str], life: int | None) -> Steps[bytes]:
        """What goes before a value: its tags and their versions now. Tags without one get one."""
        if not tags:
            return b""
        names = [escape("tag", tag) for tag in tags]
        new = [("SET", self._key(name), secrets.token_bytes(_VERSION), "NX", "PX", TAG_TTL_MS) for name in names]
        kept = [self._kept(name, life) for name in names]
        answers = yield Send([*new, *kept, *(("GET", self._key(name)) for name in names)])
        header = [_TAGGED, len(names).to_bytes(1, "big")]
        for name, version in zip(names, answers[-len(names) :], strict=True):
            text = name.encode()
            header += (len(text).to_bytes(2, "big"), text, (version or b"").ljust(_VERSION)[:_VERSION])
        return b"".join(header)

    def renewed(self, tag: str) -> Command:
        """The command that ends all entries of a tag."""
        return ("SET", self._key(escape("tag", tag)), secrets.token_bytes(_VERSION), "PX", TAG_TTL_MS)

    def prolonged(self, key: str, entry: bytes | None, life: int | None) -> list[Command]:
        """What an entry needs in addition to a new time to live: its stale period and its tags last as long."""
        part = _split(entry)
        if entry is None or part is None:
            return []
        stale = stale_period(entry)
        longer: list[Command] = [("PEXPIRE", key, life + stale)] if life and stale else []
        return longer + [self._kept(tag, life) for tag in part.tags]

    def _kept(self, name: str, life: int | None) -> Command:
        """A tag lives no shorter than its entries."""
        key = self._key(name)
        return ("PERSIST", key) if life is None else ("PEXPIRE", key, max(life, TAG_TTL_MS), "GT")

    def _key(self, name: str) -> str:
        return self._keys.own("tag", name)


def has_header(entry: bytes | None) -> bool:
    """Whether it takes more than `decode` to read an entry."""
    return entry is not None and entry[:1] in _MARKS


def stale_header(milliseconds: int) -> bytes:
    """Goes first in an entry whose last milliseconds are those in which it is stale; scripts/claim.lua reads it."""
    return _STALE + milliseconds.to_bytes(8, "big") if milliseconds else b""


def stale_period(entry: bytes) -> int:
    """Milliseconds before its end from which on an entry is stale."""
    return int.from_bytes(entry[1:9], "big") if entry[:1] == _STALE else 0


def _split(entry: bytes | None) -> _Parts | None:
    """None where there is nothing, or bytes that aren't an entry."""
    if not entry:
        return None
    if entry[:1] == _STALE:
        entry = entry[9:]
    if entry[:1] != _TAGGED:
        return _Parts({}, entry)
    tags, position = {}, 2
    for _ in range(int.from_bytes(entry[1:2], "big")):
        end = position + 2 + int.from_bytes(entry[position : position + 2], "big")
        tags[entry[position + 2 : end].decode(errors="replace")] = entry[end : end + _VERSION]
        position = end + _VERSION
    return _Parts(tags, entry[position:]) if all(tags) and position <= len(entry) else None
