"""What a run tells while it goes on: JSON lines, a progress bar, or a line now and then."""

from __future__ import annotations

import json
import sys
import threading
import time
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from valkeykit.ops.migrate.tally import Tally

TICK = 0.5
"""Seconds between two looks at the counts."""

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Voice(Protocol):
    """One way of telling."""

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:
        """A part of the run begins; total: keys that it will see, 0 where that isn't known."""

    def progress(self, done: int, rate: float, counts: dict[str, int]) -> None:
        """How far the part is."""

    def note(self, text: str, facts: dict[str, Any]) -> None:
        """Something to read."""

    def close(self) -> None:
        """Nothing more comes."""


class JsonVoice:
    """An event a line, on standard output."""

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:
        self._emit("stage", name=name, total=total, **facts)

    def progress(self, done: int, rate: float, counts: dict[str, int]) -> None:
        self._emit("progress", done=done, keys_per_second=round(rate), counts=counts)

    def note(self, text: str, facts: dict[str, Any]) -> None:
        self._emit("note", text=text, **facts)

    def close(self) -> None:
        """Nothing is held back."""

    def _emit(self, event: str, **facts: Any) -> None:
        print(json.dumps({"event": event, "at": round(time.time(), 3), **facts}), flush=True)


class LineVoice:
    """A line now and then, on standard error."""

    def __init__(self) -> None:
        self._name = ""
        self._said = time.monotonic()

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._name = name
        self._said = time.monotonic()
        self._print(f"{name}" + (f": about {total:,} keys" if total else ""))

    def progress(self, done: int, rate: float, counts: dict[str, int]) -> None:
        if time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            self._print(f"{self._name}: {done:,} keys, {rate:,.0f}/s, {_troubles(counts)}")

    def note(self, text: str, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._print(text)

    def close(self) -> None:
        """Nothing is held back."""

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class BarVoice:
    """A progress bar on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), TextColumn("{task.fields[troubles]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, rate="", troubles="")
        self._bar.start()

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._bar.reset(self._task, description=name, total=total or None, rate="", troubles="")

    def progress(self, done: int, rate: float, counts: dict[str, int]) -> None:
        self._bar.update(self._task, completed=done, rate=f"{rate:,.0f}/s", troubles=_troubles(counts))

    def note(self, text: str, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def _troubles(counts: dict[str, int]) -> str:
    return f"{counts.get('unmovable', 0)} unmovable, {counts.get('reconnects', 0)} reconnects"


class Reporter:
    """Tells a voice how a run goes on. Use it as a context manager."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._tally = Tally()
        self._guard = threading.Lock()
        self._began, self._base = time.monotonic(), 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._tell()
        self._voice.close()

    def watch(self, tally: Tally) -> None:
        """Whose counts are told."""
        self._tally = tally

    def stage(self, name: str, total: int = 0, **facts: Any) -> None:
        """A part of the run begins."""
        with self._guard:
            self._began, self._base = time.monotonic(), self._tally.get("scanned")
            self._voice.stage(name, total, facts)

    def note(self, text: str, **facts: Any) -> None:
        """Something to read."""
        with self._guard:
            self._voice.note(text, facts)

    def _run(self) -> None:
        while not self._closing.wait(TICK):
            self._tell()

    def _tell(self) -> None:
        with self._guard:
            done = self._tally.get("scanned") - self._base
            rate = done / max(time.monotonic() - self._began, 1e-6)
            self._voice.progress(done, rate, self._tally.snapshot())
