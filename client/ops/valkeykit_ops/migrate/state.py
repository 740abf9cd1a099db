"""State folder of a migration: its servers, its progress and its results.

Only the owner can read the files, and they contain no passwords.
One process at a time uses a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from valkeykit.errors import ConfigurationError

SAVE_INTERVAL_SECONDS = 0.5
"""Pause between two saves of a scan's position."""

DONE = "done"

FORMAT = 2
"""Version of the format of run.json."""


class MigrationState:
    """The state that is saved between two runs of the same command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.RLock()
        self._saved = 0.0
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hold()
            self._record: dict[str, Any] = self._read("run.json")
        except ValueError:
            self._unlock()
            raise ConfigurationError(
                f"the state folder {str(folder)!r} cannot be used: run.json is damaged",
                fix="remove the folder to start from scratch, or choose another one with --state",
            ) from None
        except OSError as problem:
            self._unlock()
            raise ConfigurationError(
                f"the state folder {str(folder)!r} cannot be used: {problem.strerror or type(problem).__name__}",
                fix="correct its path or permissions, or choose another one with --state",
            ) from None
        if (version := self._record.setdefault("format", 1 if self._record else FORMAT)) != FORMAT:
            self._unlock()
            raise ConfigurationError(
                f"the state folder {str(folder)!r} has format {version}, this version of valkeykit-ops reads {FORMAT}",
                fix="finish with the version that wrote it, or start from scratch with another --state folder",
            )

    def close(self) -> None:
        """Save the state and unlock the folder."""
        with self._guard:
            if self._lock is not None:
                self.save()
                self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Claim the folder for a migration; the first claim owns it.

        Raises:
            ConfigurationError: It belongs to another migration; the message lists the differences.
        """
        self._record.setdefault("identity", dict(identity))
        self.check(identity)
        self.save()

    def check(self, identity: Mapping[str, Any]) -> None:
        """Check that the folder belongs to a migration, or to none.

        Raises:
            ConfigurationError: It belongs to another migration; the message lists the differences.
        """
        kept = self._record.get("identity") or identity
        differing = [name for name in identity if kept.get(name) != identity[name]]
        if not differing:
            return
        swapped = (kept.get("source"), kept.get("target")) == (identity.get("target"), identity.get("source"))
        if swapped:
            raise ConfigurationError(
                f"source and target are swapped: in {str(self.folder)!r} "
                f"the previous server is {', '.join(kept['source'])} and the new one {', '.join(kept['target'])}",
                fix="pass the previous server first, in every sub-command",
            )
        raise ConfigurationError(
            f"the state folder {str(self.folder)!r} belongs to another migration: {', '.join(differing)} differ",
            fix="run the original command again, or choose another folder with --state",
        )

    def get(self, name: str, default: Any = None) -> Any:
        """The value saved under a name."""
        with self._guard:
            return self._record.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Save a plain value."""
        with self._guard:
            self._record[name] = value
            self.save()

    def position(self, scan: str, partition: str, run_id: str) -> str | None:
        """Where to resume the scan of a partition: a cursor, DONE, or None for the start.

        A cursor is valid only for the server process that returned it.
        """
        with self._guard:
            kept = self._record.get("positions", {}).get(scan, {}).get(partition)
        if not kept or (kept["run_id"] != run_id and kept["cursor"] != DONE):
            return None
        return str(kept["cursor"])

    def reach(self, scan: str, partition: str, run_id: str, cursor: str) -> None:
        """Everything before this cursor is complete."""
        with self._guard:
            positions = self._record.setdefault("positions", {}).setdefault(scan, {})
            positions[partition] = {"run_id": run_id, "cursor": cursor}
            if cursor == DONE or time.monotonic() - self._saved > SAVE_INTERVAL_SECONDS:
                self.save()

    def forget(self, scan: str) -> None:
        """Delete the positions of a scan."""
        with self._guard:
            self._record.get("positions", {}).pop(scan, None)

    def save(self) -> None:
        """Write the state atomically."""
        with self._guard:
            self.write("run.json", json.dumps(self._record, indent=1))
            self._saved = time.monotonic()

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder atomically."""
        path = self.folder / name
        draft = self.folder / f".{name}.new"
        with _naming_folder(self.folder):
            with _opened(draft) as file:
                file.write(text)
            draft.replace(path)
        return path

    def lines(self, name: str) -> JsonLinesFile:
        """A file of JSON lines."""
        return JsonLinesFile(self.folder / name)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.exists():
            return {}
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    def _hold(self) -> None:
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise ConfigurationError(
                f"another migration uses the state folder {str(self.folder)!r}", fix="wait until it ends, or stop it"
            ) from None


class JsonLinesFile:
    """A thread-safe file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()

    def clear(self) -> None:
        """Empty the file."""
        with _naming_folder(self.path.parent), _opened(self.path):
            pass

    def add(self, **fields: Any) -> None:
        """Append an entry; bytes are written as text."""
        text = json.dumps({name: shown(value) if isinstance(value, bytes) else value for name, value in fields.items()})
        with self._guard, _naming_folder(self.path.parent), self.path.open("a") as file:
            file.write(text + "\n")


def shown(key: bytes) -> str:
    """A key's name as text; bytes that are not UTF-8 are written as \\x…."""
    return key.decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _naming_folder(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ConfigurationError(
            f"the state folder {str(folder)!r} cannot be written: {problem.strerror or type(problem).__name__}",
            fix="free disk space or correct its permissions, then run the same command again to resume",
        ) from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yield file
