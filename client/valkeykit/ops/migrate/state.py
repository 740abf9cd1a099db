"""The folder of a migration: which two servers it is about, how far it is, and what it found.

Files are for their owner only and hold no password. One process at a time works with a folder.
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

SAVE_EVERY = 0.5
"""Seconds between two saves of how far a scan is."""

DONE = "done"


class State:
    """What is kept between two runs of the same command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.RLock()
        self._saved = 0.0
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hold()
            self._record: dict[str, Any] = self._read("run.json")
        except (OSError, ValueError) as problem:
            raise ConfigurationError(
                f"the state folder {str(folder)!r} can't be used: {type(problem).__name__}",
                fix="name another one by --state, or remove it to start anew",
            ) from None

    def close(self) -> None:
        """Save, and let another process have the folder."""
        with self._guard:
            if self._lock is not None:
                self.save()
                os.close(self._lock)
                self._lock = None

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Say which migration the folder is for; the first one that says it has it.

        Raises:
            ConfigurationError: it belongs to another one; what differs is named.
        """
        kept = self._record.setdefault("identity", dict(identity))
        differing = [name for name in identity if kept.get(name) != identity[name]]
        if differing:
            raise ConfigurationError(
                f"the state folder {str(self.folder)!r} belongs to another migration: {', '.join(differing)} differ",
                fix="repeat the command as it was, or name another folder by --state",
            )
        self.save()

    def get(self, name: str, default: Any = None) -> Any:
        """What was kept under a name."""
        with self._guard:
            return self._record.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Keep a plain value."""
        with self._guard:
            self._record[name] = value
            self.save()

    def position(self, sweep: str, place: str, run_id: str) -> str | None:
        """Where a scan of a place goes on: a cursor, DONE, or None for the start.

        A cursor means nothing to another process than the one that gave it out.
        """
        with self._guard:
            kept = self._record.get("positions", {}).get(sweep, {}).get(place)
        if not kept or (kept["run_id"] != run_id and kept["cursor"] != DONE):
            return None
        return str(kept["cursor"])

    def reach(self, sweep: str, place: str, run_id: str, cursor: str) -> None:
        """All before this cursor is done."""
        with self._guard:
            positions = self._record.setdefault("positions", {}).setdefault(sweep, {})
            positions[place] = {"run_id": run_id, "cursor": cursor}
            if cursor == DONE or time.monotonic() - self._saved > SAVE_EVERY:
                self.save()

    def forget(self, sweep: str) -> None:
        """Let a scan of that name begin at the start."""
        with self._guard:
            self._record.get("positions", {}).pop(sweep, None)

    def save(self) -> None:
        """Write it now, so that a kill at any moment leaves the old or the new."""
        with self._guard:
            self.write("run.json", json.dumps(self._record, indent=1))
            self._saved = time.monotonic()

    def write(self, name: str, text: str) -> Path:
        """Put a file into the folder, whole or not at all."""
        path = self.folder / name
        draft = self.folder / f".{name}.new"
        with _opened(draft) as file:
            file.write(text)
        draft.replace(path)
        return path

    def lines(self, name: str) -> Lines:
        """A file of JSON lines that starts empty."""
        return Lines(self.folder / name)

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
                f"another migration works with the state folder {str(self.folder)!r}", fix="wait for it, or end it"
            ) from None


class Lines:
    """JSON lines, one an entry; from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        with _opened(path):
            pass

    def add(self, **fields: Any) -> None:
        """Append an entry; bytes are shown as text."""
        text = json.dumps({name: shown(value) if isinstance(value, bytes) else value for name, value in fields.items()})
        with self._guard, self.path.open("a") as file:
            file.write(text + "\n")


def shown(key: bytes) -> str:
    """A key's name as text; bytes that are none are written as \\x…."""
    return key.decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yield file
