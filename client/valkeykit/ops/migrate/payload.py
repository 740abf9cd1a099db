"""What DUMP answers: a type byte, the value, two bytes of version, eight of checksum (CRC64 in Jones' variant).

Versions up to 11 are common to Redis and Valkey. Beyond, each has its own, but a value whose
type byte both know is laid out alike: it needs another version and checksum, and no more.
"""

from __future__ import annotations

from enum import Enum

import anycrc

FOOTER = 10
COMMON_VERSION = 11
VALKEY_9 = 80
MODULES = frozenset({6, 7})

_LAST_TYPE = {9: 15, 10: 19, 11: 21}
"""The highest type byte that each version of the format knows."""

_checksum = anycrc.Model("CRC64-REDIS").calc


class Way(Enum):
    """How a payload gets to the target."""

    AS_IS = "as it is"
    REWRITTEN = "rewritten"
    LOGICAL = "by commands"
    NOT = "not at all"


class Format:
    """What a server's RESTORE reads.

    version: of the payloads that it writes itself.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self._common = min(version, COMMON_VERSION)  # the newest that both engines know and this server reads
        self._mark = self._common.to_bytes(2, "little")
        self._last_type = _LAST_TYPE[self._common]

    @classmethod
    def of(cls, engine: str, version: tuple[int, ...]) -> Format:
        """The format of a release of `valkey` or `redis`."""
        if engine == "valkey":
            return cls(VALKEY_9 if version >= (9,) else COMMON_VERSION)
        for since, number in (((8, 6), 13), ((7, 4), 12), ((7, 2), 11), ((7, 0), 10)):
            if version >= since:
                return cls(number)
        return cls(9)

    def way(self, payload: bytes) -> Way:
        """How this server takes a payload."""
        kind, version = payload[0], payload[-10] | payload[-9] << 8
        if kind in MODULES:
            return Way.NOT
        if version == self.version or version <= self._common:
            return Way.AS_IS
        return Way.REWRITTEN if kind <= self._last_type else Way.LOGICAL

    def rewrite(self, payload: bytes) -> bytes:
        """The payload with the version that this server reads, and its checksum."""
        body = payload[:-FOOTER] + self._mark
        checksum: int = _checksum(body)
        return body + checksum.to_bytes(8, "little")
