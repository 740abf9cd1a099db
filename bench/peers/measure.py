"""What every queue script measures: jobs a second, added one by one and processed, and the server's memory a job."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import redis

PAYLOAD = "x" * 100


class Counter:
    """Counts jobs; after the last one the figures are printed and the process ends, whatever the library thinks."""

    def __init__(self, url: str, jobs: int) -> None:
        self._client = redis.Redis.from_url(url)
        self._client.flushall()
        self._jobs = jobs
        self._done = 0
        self._figures: dict[str, float] = {}
        self._began = 0.0

    def added(self, add: Callable[[], None]) -> None:
        """Time the adding of all jobs."""
        before = self._memory()
        began = time.perf_counter()
        add()
        self._figures["enqueue"] = self._jobs / (time.perf_counter() - began)
        self._figures["memory"] = (self._memory() - before) / self._jobs

    def start(self) -> None:
        """A worker that is ready to run starts now."""
        self._began = time.perf_counter()

    def count(self) -> None:
        self._done += 1
        if self._done == self._jobs:
            self.finish()

    def finish(self) -> None:
        self._figures["process"] = self._jobs / (time.perf_counter() - self._began)
        print(json.dumps(self._figures), file=sys.__stdout__, flush=True)  # Celery takes sys.stdout away
        os._exit(0)

    def _memory(self) -> int:
        return int(self._client.info("memory")["used_memory"])
