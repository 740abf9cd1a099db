"""Progress output of a run: JSON lines, a progress bar or log lines."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from valkeykit_ops.migrate.counters import Counters

UPDATE_INTERVAL_SECONDS = 0.5
"""Pause between two updates."""

LINE_INTERVAL_SECONDS = 10.0
"""Pause between two lines when the output is not a terminal."""


@dataclass(frozen=True)
class ProgressUpdate:
    """The progress of a stage.

    Attributes:
        done: Keys of this stage.
        rate: Keys per second.
        size: Bytes that this run has copied.
        lag: In follow mode: seconds since the last moment whose changes the target has.
        counts: Counters of the run.
    """

    done: int
    rate: float
    size: int
    lag: float | None
    counts: dict[str, int]

    @property
    def text(self) -> str:
        """Rate, bytes, lag and problems, as far as there are any."""
        parts = [f"{self.rate:,.0f} keys/s", f"{self.size / 2**20:,.1f} MiB copied"]
        if self.lag is not None:
            parts = [f"lag {self.lag:,.1f} s", parts[1]]
        problems = [f"{self.counts[name]:,} {name}" for name in ("unmovable", "reconnects") if self.counts.get(name)]
        return ", ".join([*parts, *problems])


class ProgressSink(Protocol):
    """Receives the progress of a run."""

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:
        """A stage begins; total: expected number of keys, 0 if unknown."""

    def progress(self, update: ProgressUpdate) -> None:
        """The progress of the current stage."""

    def note(self, text: str, facts: dict[str, Any]) -> None:
        """A message for the operator."""

    def close(self) -> None:
        """The run has ended."""


def print_line(text: str) -> None:
    """Print a line on standard output; a reader that has closed it does not end the run."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


class JsonLines:
    """One JSON event per line, on standard output."""

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:
        self._emit("stage", name=name, total=total, **facts)

    def progress(self, update: ProgressUpdate) -> None:
        lag = {} if update.lag is None else {"lag_seconds": round(update.lag, 1)}
        self._emit("progress", done=update.done, keys_per_second=round(update.rate), counts=update.counts, **lag)

    def note(self, text: str, facts: dict[str, Any]) -> None:
        self._emit("note", text=text, **facts)

    def close(self) -> None:
        """Nothing to do: each line is flushed."""

    def _emit(self, event: str, **facts: Any) -> None:
        print_line(json.dumps({"event": event, "at": round(time.time(), 3), **facts}))


class LogLines:
    """Log lines on standard error."""

    def __init__(self) -> None:
        self._name = ""
        self._printed_at = time.monotonic()

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._name = name
        self._printed_at = time.monotonic()
        self._print(f"{name}" + (f": about {total:,} keys" if total else ""))

    def progress(self, update: ProgressUpdate) -> None:
        if time.monotonic() - self._printed_at >= LINE_INTERVAL_SECONDS:
            self._printed_at = time.monotonic()
            self._print(f"{self._name}: {update.done:,} keys, {update.text}")

    def note(self, text: str, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._print(text)

    def close(self) -> None:
        """Nothing to do: each line is flushed."""

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class ProgressBar:
    """A progress bar on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, text="")
        self._bar.start()

    def stage(self, name: str, total: int, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._bar.reset(self._task, description=name, total=total or None, text="")

    def progress(self, update: ProgressUpdate) -> None:
        self._bar.update(self._task, completed=update.done, text=update.text)

    def note(self, text: str, facts: dict[str, Any]) -> None:  # noqa: ARG002
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


class ProgressReporter:
    """Sends the progress of a run to a sink. Use it as a context manager."""

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._counters = Counters()
        self._guard = threading.Lock()
        self._began, self._base = time.monotonic(), 0
        self._current_at: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ProgressReporter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._update()
        self._sink.close()

    def watch(self, counters: Counters) -> None:
        """Report these counters."""
        self._counters = counters

    def stage(self, name: str, total: int = 0, **facts: Any) -> None:
        """A stage begins."""
        with self._guard:
            self._began, self._base = time.monotonic(), self._counters.get("scanned")
            self._current_at = None
            self._sink.stage(name, total, facts)

    def current(self, at: float) -> None:
        """The target has all changes up to a moment of the monotonic clock."""
        with self._guard:
            self._current_at = at

    def note(self, text: str, **facts: Any) -> None:
        """A message for the operator."""
        with self._guard:
            self._sink.note(text, facts)

    def _run(self) -> None:
        while not self._closing.wait(UPDATE_INTERVAL_SECONDS):
            self._update()

    def _update(self) -> None:
        with self._guard:
            done = self._counters.get("scanned") - self._base
            rate = done / max(time.monotonic() - self._began, 1e-6)
            lag = None if self._current_at is None else time.monotonic() - self._current_at
            counts = self._counters.snapshot()
            self._sink.progress(ProgressUpdate(done, rate, counts.get("bytes", 0), lag, counts))
