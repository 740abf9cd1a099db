"""What a Pulumi command does, from its event log while it is written: messages, what it works on, and a summary."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any, TextIO

from stackctl.messages import show

_WORDS = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "import": "imported",
    "same": "unchanged",
}
"""How the summary calls each operation; others are parts of these."""

_NAMED = 3
"""At most this many changed resources are named."""

_CHUNK_BYTES = 1 << 20


class UpdateReport:
    """Reads an event log with a position of its own, as Pulumi writes to the same file."""

    def __init__(self, log: TextIO) -> None:
        self._descriptor, self._position, self._rest = log.fileno(), 0, b""
        self._active: dict[str, str] = {}
        self._shown: set[str] = set()
        self._changed: list[str] = []
        self._counts: Counter[str] = Counter()
        self._seconds = 0

    def poll(self) -> str:
        """Read what is new, print its messages; return the resources that are being changed."""
        while chunk := os.pread(self._descriptor, _CHUNK_BYTES, self._position):
            self._position += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._read(json.loads(line))
        return ", ".join(self._active.values())

    def summary(self) -> str:
        """Such as `Resources: 1 updated (server), 6 unchanged in 4 s`."""
        names = f" ({', '.join(self._changed)})" if 0 < len(self._changed) <= _NAMED else ""
        parts = [f"{self._counts[operation]} {word}" for operation, word in _WORDS.items() if self._counts[operation]]
        first, *others = parts or ["none"]
        return f"Resources: {', '.join([first + names, *others])} in {self._seconds} s"

    def _read(self, event: dict[str, Any]) -> None:
        if before := event.get("resourcePreEvent"):
            name, operation = before["metadata"]["urn"].rpartition("::")[2], before["metadata"]["op"]
            if operation in _WORDS and operation != "same" and not before["metadata"]["type"].startswith("pulumi:"):
                self._active[before["metadata"]["urn"]] = name
                self._changed.append(name)
        elif after := event.get("resOutputsEvent") or event.get("resOpFailedEvent"):
            self._active.pop(after["metadata"]["urn"], None)
        elif message := event.get("diagnosticEvent"):
            self._show(message)
        elif summary := event.get("summaryEvent"):
            self._counts = Counter(summary["resourceChanges"] or {})
            self._seconds = summary["durationSeconds"]

    def _show(self, message: dict[str, Any]) -> None:
        """Print a warning or a note, once; errors are printed when the command has ended."""
        text = message["message"].strip()
        if text and not message.get("ephemeral") and message["severity"] not in {"error", "debug"}:
            line = f"{'warning' if message['severity'] == 'warning' else 'note'}: {text}"
            if line not in self._shown:
                self._shown.add(line)
                show(line)
