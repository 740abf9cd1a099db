"""Format of DUMP payloads: a type byte, the value, two bytes of version, eight bytes of checksum (CRC64, Jones).

Redis and Valkey share the versions up to 11; later versions differ.
A value whose type byte both support has the same layout, so a new version and checksum are enough.
"""

from __future__ import annotations

from enum import Enum

import anycrc

FOOTER_BYTES = 10
COMMON_VERSION = 11
VALKEY_9_RDB_VERSION = 80
MODULES = frozenset({6, 7})

_LAST_TYPE = {9: 15, 10: 19, 11: 21}
"""The highest type byte that each version of the format supports."""

_checksum = anycrc.Model("CRC64-REDIS").calc


class TransferMode(Enum):
    """How a value is transferred to the target."""

    AS_IS = "as it is"
    REWRITTEN = "rewritten"
    BY_COMMANDS = "by commands"
    UNSUPPORTED = "not at all"


class Format:
    """The payload format of a server.

    Args:
        version: Version of the payloads that it writes.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self._common = min(version, COMMON_VERSION)  # the newest version that both engines share and this server reads
        self._mark = self._common.to_bytes(2, "little")
        self._last_type = _LAST_TYPE[self._common]

    @classmethod
    def of(cls, engine: str, version: tuple[int, ...]) -> Format:
        """The format of a release of `valkey` or `redis`."""
        if engine == "valkey":
            return cls(VALKEY_9_RDB_VERSION if version >= (9,) else COMMON_VERSION)
        for since, number in (((8, 6), 13), ((7, 4), 12), ((7, 2), 11), ((7, 0), 10)):
            if version >= since:
                return cls(number)
        return cls(9)

    def transfer_mode(self, payload: bytes) -> TransferMode:
        """How a payload can be transferred to this server."""
        kind, version = payload[0], payload[-10] | payload[-9] << 8
        if kind in MODULES:
            return TransferMode.UNSUPPORTED
        if version == self.version or version <= self._common:
            return TransferMode.AS_IS
        return TransferMode.REWRITTEN if kind <= self._last_type else TransferMode.BY_COMMANDS

    def rewrite(self, payload: bytes) -> bytes:
        """The payload with the version that this server reads, and its checksum."""
        body = payload[:-FOOTER_BYTES] + self._mark
        checksum: int = _checksum(body)
        return body + checksum.to_bytes(8, "little")
