"""The format of an entry: its stale period, its tags with their versions, its value."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from valkeykit.cache.codec import Codec, CorruptEntryError
from valkeykit.cache.effects import Command, Effects, Send
from valkeykit.cache.keys import Keys, escape

MISSING: Final = object()
"""Marks a missing entry, so that None can be cached."""

TAG_TTL_MS = 31 * 86_400_000
"""Minimum time to live of a tag's version. It also outlives its entries: without it they are misses."""

_TAGGED = b"\x03"
_STALE = b"\x04"
_MARKS = (_TAGGED, _STALE)
_VERSION = 8


class _Parts(NamedTuple):
    tags: dict[str, bytes]
    value: bytes


class Entries:
    """Reads entries and writes their headers."""

    def __init__(self, keys: Keys, codec: Codec) -> None:
        self._keys = keys
        self._codec = codec

    def decode(self, entry: bytes | None) -> Any:
        """Decode an entry without a header; MISSING if it does not exist or is corrupt."""
        if entry is None:
            return MISSING
        try:
            return self._codec.decode(entry)
        except CorruptEntryError:
            return MISSING

    def read(self, entry: bytes | None) -> Effects[Any]:
        """Read an entry; MISSING if it is corrupt or one of its tags was invalidated."""
        if not has_header(entry):
            return self.decode(entry)
        (value,) = yield from self.read_many([entry])
        return value

    def read_many(self, entries: Sequence[bytes | None]) -> Effects[list[Any]]:
        """Read several entries, with one round trip for all their tags."""
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

    def versions(self, tags: Sequence[str], life: int | None) -> Effects[bytes]:
        """The header with the tags and their current versions. Creates missing versions."""
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
        """The command that invalidates a tag."""
        return ("SET", self._key(escape("tag", tag)), secrets.token_bytes(_VERSION), "PX", TAG_TTL_MS)

    def prolonged(self, key: str, entry: bytes | None, life: int | None) -> list[Command]:
        """Commands that extend the stale period and the tags of an entry whose time to live was reset."""
        part = _split(entry)
        if entry is None or part is None:
            return []
        stale = stale_period(entry)
        longer: list[Command] = [("PEXPIRE", key, life + stale)] if life and stale else []
        return longer + [self._kept(tag, life) for tag in part.tags]

    def _kept(self, name: str, life: int | None) -> Command:
        """The command that keeps a tag alive as long as its entry."""
        key = self._key(name)
        return ("PERSIST", key) if life is None else ("PEXPIRE", key, max(life, TAG_TTL_MS), "GT")

    def _key(self, name: str) -> str:
        return self._keys.own("tag", name)


def has_header(entry: bytes | None) -> bool:
    """Whether `decode` alone cannot read the entry."""
    return entry is not None and entry[:1] in _MARKS


def stale_header(milliseconds: int) -> bytes:
    """The header of an entry that is stale for the last milliseconds of its life. scripts/claim.lua parses it."""
    return _STALE + milliseconds.to_bytes(8, "big") if milliseconds else b""


def stale_period(entry: bytes) -> int:
    """How many milliseconds before it expires an entry becomes stale."""
    return int.from_bytes(entry[1:9], "big") if entry[:1] == _STALE else 0


def _split(entry: bytes | None) -> _Parts | None:
    """Parse an entry; None if it does not exist or is corrupt."""
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
