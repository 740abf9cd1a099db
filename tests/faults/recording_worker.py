"""The workers of these tests. Each run of a job is written to a file first, whatever happens to the worker."""

from __future__ import annotations

import itertools
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from valkeykit import Queue, Worker, current_job

from tests.faults.runs import RunLog

if TYPE_CHECKING:
    from valkeykit.vocabulary import Topology

queue = Queue(
    "faults",
    os.environ["WORKER_URL"],
    retry_for=2,
    topology=cast("Topology | None", os.environ.get("TOPOLOGY") or None),
)
_runs = RunLog(Path(os.environ["RUNS"]))


def log_run() -> None:
    """The first instruction of each handler."""
    job = current_job()
    _runs.append(job.id, job.attempt)


@queue.handler(attempts=100, backoff=0.05, result_ttl=600)
def note(n: int) -> int:
    """Idempotent: every run has the same result."""
    log_run()
    time.sleep(random.random() * 0.004)
    return n * 2


@queue.handler
def work(seconds: float = 0.002) -> None:
    log_run()
    time.sleep(seconds)


@queue.handler(backoff=0.05)
def fail_first(attempts: int) -> None:
    log_run()
    if current_job().attempt <= attempts:
        raise ValueError("a failure that passes")


@queue.handler
def crash() -> None:
    log_run()
    os._exit(3)


def fresh() -> None:
    """A handler that only some workers have."""
    log_run()


def jump_the_clock() -> None:
    """Let the wall clock of this process show another day at each call."""
    real, days = time.time, itertools.cycle((0, 1, -1, 400, -400))
    time.time = lambda: real() + next(days) * 86_400


def main() -> None:
    if os.environ.get("CLOCK_JUMPS"):
        jump_the_clock()
    if os.environ.get("FRESH"):
        queue.handler(fresh)
    Worker(queue, concurrency=4, lease=float(os.environ.get("LEASE", "1")), shutdown_timeout=2).run()


if __name__ == "__main__":
    main()
