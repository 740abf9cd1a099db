"""What the workers of these tests run: each run of a job is counted on the server, whatever befalls the worker."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time

import redis
from valkeykit import Queue, Worker

LEASE = 1.0

queue = Queue("faults", os.environ["WORKER_URL"], retry_for=2, topology=os.environ.get("TOPOLOGY") or None)


@queue.handler(attempts=100, backoff=0.05, result_ttl=600)
def note(n: int) -> int:
    """Idempotent: the second run finds what the first one did."""
    time.sleep(random.random() * 0.004)
    if url := os.environ.get("COUNTER_URL"):
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url) as counter:
            counter.hincrby("runs", str(n), 1)
    return n * 2


def jump_the_clock() -> None:
    """From here on the wall clock of this process is a different day at each look."""
    real, days = time.time, itertools.cycle((0, 1, -1, 400, -400))
    time.time = lambda: real() + next(days) * 86_400


if __name__ == "__main__":
    if os.environ.get("CLOCK_JUMPS"):
        jump_the_clock()
    Worker(queue, concurrency=4, lease=LEASE, drain=2).run()
