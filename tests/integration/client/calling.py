"""Calls of handlers in child processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import psutil
from valkeykit.queue.processes.parent import HandlerProcess

CHILD_WAIT_SECONDS = 60
"""Seconds for a child process to start or to end."""


def call(process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> Any:
    result = process.run(
        function, arguments, job_id="job-1", attempt=2, queue="mail", name="describe",
        report_progress=lambda _: None, max_result=100_000_000,
    )  # fmt: skip
    return None if result is None else json.loads(result)


def progress_of(process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> list[Any]:
    reported: list[Any] = []
    process.run(function, arguments, job_id="job-1", attempt=2, report_progress=reported.append)
    return reported


class RunningCall:
    """A call in a thread of its own, and the first value that its handler reported."""

    def __init__(self, process: HandlerProcess, function: Callable[..., Any], /, **arguments: Any) -> None:
        self.error: Exception | None = None
        self.reported: Any = None
        self._has_reported = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(process, function, arguments))
        self._thread.start()

    def _run(self, process: HandlerProcess, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        try:
            process.run(function, arguments, job_id="job-1", attempt=1, report_progress=self._note)
        except Exception as error:  # noqa: BLE001  (the test gets it)
            self.error = error

    def _note(self, value: Any) -> None:
        self.reported = value
        self._has_reported.set()

    def first_report(self) -> Any:
        assert self._has_reported.wait(CHILD_WAIT_SECONDS)
        return self.reported

    def outcome(self) -> Exception | None:
        self._thread.join(CHILD_WAIT_SECONDS)
        assert not self._thread.is_alive()
        return self.error


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # its parent is gone, and init is slow
    except psutil.NoSuchProcess:
        return True
