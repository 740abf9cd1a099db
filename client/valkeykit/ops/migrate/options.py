"""What to copy and how: checked once, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from valkeykit.errors import ConfigurationError

TYPES = ("string", "list", "set", "zset", "hash", "stream")

CONFLICTS = ("fail", "skip", "replace")

SCRATCH = b"valkeykit:migrate:"
"""How the names of keys begin that are being put together on the target."""

_SPECIAL = b"*?[]^\\"


@dataclass(frozen=True)
class Scope:
    """Which keys are meant.

    match: only keys that fit this pattern, as SCAN reads it; None for all.
    rename: only keys that begin with the first text, which becomes the second; None to keep names.
    types: only these of TYPES; empty for all.
    databases: only these; empty for all.
    """

    match: str | None = None
    rename: tuple[str, str] | None = None
    types: frozenset[str] = frozenset()
    databases: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if unknown := self.types - set(TYPES):
            raise ConfigurationError(f"there is no type {min(unknown)!r}", fix=f"one of {', '.join(TYPES)}")
        if self.match is not None and self.rename is not None:
            raise ConfigurationError(
                "a pattern and a rename exclude each other: a rename copies just the keys with its prefix",
                fix="leave one of them out",
            )

    @property
    def is_everything(self) -> bool:
        return self == Scope()

    @property
    def pattern(self) -> bytes | None:
        """For SCAN on the source."""
        if self.rename:
            return _literal(self.rename[0])
        return self.match.encode() if self.match else None

    @property
    def target_pattern(self) -> bytes | None:
        """For SCAN on the target."""
        return _literal(self.rename[1]) if self.rename else self.pattern

    def includes(self, database: int) -> bool:
        return not self.databases or database in self.databases

    def takes(self, key: bytes) -> bool:
        """Whether a key's name is meant; a pattern is left to the server."""
        return not self.rename or key.startswith(self.rename[0].encode())

    def name(self, key: bytes) -> bytes:
        """A source's key as the target has it."""
        return self.rename[1].encode() + key[len(self.rename[0].encode()) :] if self.rename else key

    def origin(self, key: bytes) -> bytes:
        """A target's key as the source has it."""
        return self.rename[0].encode() + key[len(self.rename[1].encode()) :] if self.rename else key

    def record(self) -> dict[str, Any]:
        """Plain values, to tell one scope from another."""
        return {
            "match": self.match,
            "rename": list(self.rename) if self.rename else None,
            "types": sorted(self.types),
            "databases": sorted(self.databases),
        }


def _literal(prefix: str) -> bytes:
    escaped = b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in prefix.encode())
    return escaped + b"*"


@dataclass(frozen=True)
class Options:
    """How to migrate.

    conflict: what to do where the target has keys: fail (none may be there at the start), skip, replace.
    rate: keys a second at most; None for no limit.
    max_latency: milliseconds that a PING to the source may take; the copy slows down beyond. None for no limit.
    batch: keys of one round trip.
    slice_above: bytes of memory beyond which a key is copied in slices.
    accept_loss: go on though keys or field TTLs can't be moved; they are listed.
    way_back: the target is the old server: it may be a Redis, and what it has is replaced.
    notifications: switch keyspace notifications on at the source, and back at the end.
    verify: full, or sample (SAMPLE keys of each database and node).
    patience: seconds for which a side may be out of reach before the run gives up.
    """

    scope: Scope = field(default_factory=Scope)
    conflict: str = "fail"
    rate: int | None = None
    max_latency: float | None = None
    batch: int = 1000
    slice_above: int = 1 << 20
    accept_loss: bool = False
    way_back: bool = False
    notifications: bool = False
    verify: str = "full"
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.conflict not in CONFLICTS:
            raise ConfigurationError(
                f"{self.conflict!r} is no way to treat conflicts", fix=f"one of {', '.join(CONFLICTS)}"
            )
        if self.verify not in {"full", "sample"}:
            raise ConfigurationError(f"{self.verify!r} is no way to verify", fix="full or sample")
        for name in ("batch", "slice_above", "patience"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}, not above 0", fix=f"{name}=1000")
        for name in ("rate", "max_latency"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} is {value}, not above 0", fix="leave it out for no limit")
