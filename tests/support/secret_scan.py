"""The search for secrets: in the output of commands, in files, in command lines and environments."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil


def absent_from_text(secrets: Collection[str], text: str, where: str) -> None:
    """The assertion doesn't quote the text, which pytest would print."""
    found = any(secret in text for secret in secrets)
    assert not found, f"a secret stands in {where}"


def absent_from_files(secrets: Collection[str], folder: Path, keepers: Iterable[Path] = ()) -> None:
    """keepers: files whose purpose is to hold one; those must be 0600."""
    exempt = set(keepers)
    for file in folder.rglob("*"):
        if file in exempt:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, f"{file} can be read by others"
        elif file.is_file() and not file.is_symlink():
            absent_from_text(secrets, file.read_bytes().decode(errors="replace"), str(file))


def absent_from_processes(secrets: Collection[str]) -> None:
    """Of all processes of this machine: command lines, which everybody can read."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            absent_from_text(secrets, " ".join(process.cmdline()), f"command line of {process.name()}")
