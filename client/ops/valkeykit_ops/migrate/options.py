"""Migration options, validated before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate import glob

TYPES = ("string", "list", "set", "zset", "hash", "stream")

CONFLICTS = ("fail", "skip", "replace")

_SPECIAL = b"*?[]^\\"


@dataclass(frozen=True)
class Scope:
    """The keys to migrate.

    Attributes:
        match: Only keys that match this pattern of SCAN; None for all.
        rename: Only keys with the first prefix, which is replaced by the second; None to keep names.
        types: Only these TYPES; empty for all.
        databases: Only these databases; empty for all.
    """

    match: str | None = None
    rename: tuple[str, str] | None = None
    types: frozenset[str] = frozenset()
    databases: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if unknown := self.types - set(TYPES):
            raise ConfigurationError(f"unknown type {min(unknown)!r}", fix=f"choose one of {', '.join(TYPES)}")
        if self.match is not None and self.rename is not None:
            raise ConfigurationError(
                "--match and --rename exclude each other: --rename copies only the keys with its prefix",
                fix="remove one of them",
            )

    @property
    def is_everything(self) -> bool:
        return self == Scope()

    @property
    def is_whole_databases(self) -> bool:
        """Whether all keys of the databases in scope are in scope."""
        return self == Scope(databases=self.databases)

    @property
    def pattern(self) -> bytes | None:
        """The pattern for SCAN at the source."""
        if self.rename:
            return prefix_pattern(self.rename[0].encode())
        return self.match.encode() if self.match else None

    @property
    def target_pattern(self) -> bytes | None:
        """The pattern for SCAN at the target."""
        return prefix_pattern(self.rename[1].encode()) if self.rename else self.pattern

    def includes(self, database: int) -> bool:
        return not self.databases or database in self.databases

    def takes(self, key: bytes) -> bool:
        """Whether the name of a key of the source is in scope."""
        if self.rename:
            return key.startswith(self.rename[0].encode())
        return self.match is None or glob.matches(self.match.encode(), key)

    def owns(self, name: bytes) -> bool:
        """Whether the name of a key of the target is in scope."""
        return name.startswith(self.rename[1].encode()) if self.rename else self.takes(name)

    def name(self, key: bytes) -> bytes:
        """The name at the target of a key of the source."""
        return self.rename[1].encode() + key[len(self.rename[0].encode()) :] if self.rename else key

    def origin(self, key: bytes) -> bytes:
        """The name at the source of a key of the target."""
        return self.rename[0].encode() + key[len(self.rename[1].encode()) :] if self.rename else key

    def reversed(self) -> Scope:
        """The scope of the reverse migration."""
        return replace(self, rename=self.rename[::-1]) if self.rename else self

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Scope:
        """The scope of a record."""
        old_and_new = record["rename"]
        return cls(
            record["match"],
            (old_and_new[0], old_and_new[1]) if old_and_new else None,
            frozenset(record["types"]),
            frozenset(record["databases"]),
        )

    def record(self) -> dict[str, Any]:
        """Plain values that identify the scope."""
        return {
            "match": self.match,
            "rename": list(self.rename) if self.rename else None,
            "types": sorted(self.types),
            "databases": sorted(self.databases),
        }


def prefix_pattern(prefix: bytes) -> bytes:
    """The pattern of the names that begin with a prefix."""
    return b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in prefix) + b"*"


@dataclass(frozen=True)
class Options:
    """How to migrate.

    Attributes:
        conflict: What to do if the target has keys in scope: `fail`, `skip` or `replace`.
        rate: Maximum keys per second; None for no limit.
        max_latency: Milliseconds that a PING to the source may take before the copy slows down; None for no limit.
        batch: Keys per round trip.
        chunk_above: Bytes of memory above which a key is copied in chunks.
        trust_source: Delete and overwrite what the source lost in a restart or a flush.
        accept_target_writes: Overwrite and delete what other clients wrote to the target.
        accept_loss: Continue and skip keys and field TTLs that cannot be migrated; they are listed.
        reverse: Migrate back to the previous server: the target may be a Redis, and its keys are replaced.
        notifications: Enable keyspace notifications at the source during the run.
        allow_eviction: Start although the target evicts keys when it is full.
        verify: `full`, or `sample` for 2,000 keys of each database and node; a cut-over compares all keys.
        reconnect_timeout: Seconds that a server may be unreachable before the run fails.
    """

    scope: Scope = field(default_factory=Scope)
    conflict: str = "fail"
    rate: int | None = None
    max_latency: float | None = None
    batch: int = 1000
    chunk_above: int = 1 << 20
    trust_source: bool = False
    accept_target_writes: bool = False
    accept_loss: bool = False
    allow_eviction: bool = False
    reverse: bool = False
    notifications: bool = False
    verify: str = "full"
    reconnect_timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.conflict not in CONFLICTS:
            raise ConfigurationError(f"conflict is {self.conflict!r}", fix=f"choose one of {', '.join(CONFLICTS)}")
        if self.verify not in {"full", "sample"}:
            raise ConfigurationError(f"verify is {self.verify!r}", fix="choose full or sample")
        for name in ("batch", "chunk_above", "reconnect_timeout"):
            if not getattr(self, name) > 0:  # not a number is not above 0 either
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}, expected a number above 0", fix=f"{name}=1000"
                )
        for name in ("rate", "max_latency"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value}, expected a number above 0", fix="remove it for no limit")
