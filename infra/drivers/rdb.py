"""RDB files: whether the server would load one, told before anything is touched."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from infra.drivers import binary
from infra.errors import ProvisioningError

NEWEST_REDIS = 11
"""The RDB version of Redis 7.2 and Valkey 7.2 to 8.x; Redis' own later ones (12, 13) are refused by Valkey."""

NEWEST_VALKEY = 80
"""The RDB version of Valkey 9.x."""

FIRST_OF_ITS_OWN = 9
"""The first Valkey that reads and writes RDB files of a format that isn't Redis'."""

_HEADER = re.compile(rb"(?P<engine>REDIS0|VALKEY)(?P<version>[0-9]{3,4})")
_WRITER = re.compile(rb"(?:valkey|redis)-ver.(\d+\.\d+\.\d+)", re.DOTALL)


def files(source: Path) -> list[Path]:
    """The file itself; of a folder, all that lie in it."""
    return sorted(source.glob("*.rdb")) if source.is_dir() else [source]


def validation_error(file: Path) -> ProvisioningError | None:
    """Why a server can't start from the file, or None. Reads all of it, its checksum included."""
    if problem := unreadable(file, binary.version()):
        return problem
    if reason := _check(file):
        return ProvisioningError(f"{file} is truncated or damaged: {reason}", fix="create the dump again")
    return None


def unreadable(file: Path, version: str) -> ProvisioningError | None:
    """Why a server of a version can't read a file that begins as this one does, or None."""
    try:
        with file.open("rb") as dump:
            header = dump.read(256)
    except OSError as problem:
        return ProvisioningError(f"{file}: {problem.strerror}", fix="pulumi config set restoreFrom <an RDB file>")
    if (match := _HEADER.match(header)) is None:
        return ProvisioningError(f"{file} is not an RDB file", fix="create one: redis-cli --rdb dump.rdb")
    number, is_valkeys = int(match["version"]), match["engine"] == b"VALKEY"
    if is_valkeys and binary.parse_version(version)[0] < FIRST_OF_ITS_OWN:
        writer = found[1].decode() if (found := _WRITER.search(header)) else f"{FIRST_OF_ITS_OWN} or newer"
        return ProvisioningError(
            f"{file} was written by Valkey {writer}, Valkey {version} can't read it",
            fix=f"pulumi config set version {'.'.join(writer.split('.')[:2]) if found else FIRST_OF_ITS_OWN}",
        )
    if number > (NEWEST_VALKEY if is_valkeys else NEWEST_REDIS):
        return ProvisioningError(
            f"{file} is of RDB version {number} (Redis 7.4 or newer), Valkey {version} reads Redis' files up "
            f"to {NEWEST_REDIS}",
            fix="take the dump from a Redis up to 7.2 or from a Valkey",
        )
    return None


def _check(file: Path) -> str | None:
    """The server's binary is the checker too when it is called by that name."""
    command = ["valkey-check-rdb", str(file)]
    result = subprocess.run(
        command, executable=binary.path(), capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode == 0:
        return None
    reasons = re.findall(r"^\[offset \d+\] (?!Checking|Check RDB)(.*)$", result.stdout, re.MULTILINE)
    return reasons[-1] if reasons else "it can't be read"
