"""A file to which each run of a job adds a line before it does anything else. It needs no server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class JobRun(NamedTuple):
    pid: int
    job: str
    attempt: int


class RunLog:
    """All runs by all workers, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)

    def append(self, job: str, attempt: int) -> None:
        """Add a line, in one system call."""
        os.write(self._file, f"{os.getpid()} {attempt} {job}\n".encode())

    def read(self) -> list[JobRun]:
        return list(self._parse())

    def jobs(self) -> set[str]:
        """Ids of the jobs that ran."""
        return {run.job for run in self._parse()}

    def close(self) -> None:
        os.close(self._file)

    def _parse(self) -> Iterator[JobRun]:
        for line in self.path.read_text().splitlines():
            pid, attempt, job = line.split(" ", 2)
            yield JobRun(int(pid), job, int(attempt))
