"""RDB files: check whether a server can load one, before anything is changed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from valkeykit.version_numbers import minor_version, parse_version

from infra.drivers import binary
from infra.errors import ProvisioningError

NEWEST_REDIS_RDB = 11
"""The RDB version of Redis 7.2 and Valkey 7.2 to 8.x; Valkey rejects Redis' later ones (12, 13)."""

NEWEST_VALKEY_RDB = 80
"""The RDB version of Valkey 9.x."""

FIRST_MAJOR_WITH_OWN_FORMAT = 9
"""The first major version of Valkey with an RDB format of its own."""

_HEADER = re.compile(rb"(?P<engine>REDIS0|VALKEY)(?P<version>[0-9]{3,4})")
_WRITER = re.compile(rb"(?:valkey|redis)-ver.(\d+\.\d+\.\d+)", re.DOTALL)


def files(source: Path) -> list[Path]:
    """The file itself, or the RDB files of a folder."""
    is_folder = os.access(source, os.X_OK) and source.is_dir()
    return sorted(source.glob("*.rdb")) if is_folder else [source]


def validation_error(file: Path) -> ProvisioningError | None:
    """Why a server can't load the file, or None. Reads all of it, including the checksum."""
    if problem := header_error(file, binary.version()):
        return problem
    if reason := _check(file):
        return ProvisioningError(f"{file} is truncated or damaged: {reason}", fix="create the dump again")
    return None


def header_error(file: Path, version: str) -> ProvisioningError | None:
    """Why a server of a version can't read the file according to its header, or None."""
    try:
        with file.open("rb") as dump:
            header = dump.read(256)
    except OSError as problem:
        return ProvisioningError(f"{file}: {problem.strerror}", fix="pulumi config set restoreFrom <an RDB file>")
    if (match := _HEADER.match(header)) is None:
        return ProvisioningError(f"{file} is not an RDB file", fix="create one: redis-cli --rdb dump.rdb")
    number, is_valkeys = int(match["version"]), match["engine"] == b"VALKEY"
    if is_valkeys and parse_version(version)[0] < FIRST_MAJOR_WITH_OWN_FORMAT:
        match = _WRITER.search(header)
        writer = match[1].decode() if match else f"{FIRST_MAJOR_WITH_OWN_FORMAT} or newer"
        required = minor_version(writer) if match else FIRST_MAJOR_WITH_OWN_FORMAT
        return ProvisioningError(
            f"{file} was written by Valkey {writer}, Valkey {version} can't read it",
            fix=f"pulumi config set version {required}",
        )
    if number > (NEWEST_VALKEY_RDB if is_valkeys else NEWEST_REDIS_RDB):
        return ProvisioningError(
            f"{file} is of RDB version {number} (Redis 7.4 or newer), Valkey {version} reads Redis' files up "
            f"to {NEWEST_REDIS_RDB}",
            fix="take the dump from a Redis up to 7.2 or from a Valkey",
        )
    return None


def _check(file: Path) -> str | None:
    """Run the check tool, which is the server's binary under another name."""
    command = ["valkey-check-rdb", str(file)]
    result = subprocess.run(
        command, executable=binary.path(), capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode == 0:
        return None
    reasons = re.findall(r"^\[offset \d+\] (?!Checking|Check RDB)(.*)$", result.stdout, re.MULTILINE)
    return reasons[-1] if reasons else "it can't be read"
