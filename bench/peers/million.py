"""Throughput with many jobs waiting behind, and without; and the memory that they take."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import redis
from measure import PAYLOAD
from valkeykit import Queue, Worker

URL, WAITING, JOBS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
QUEUE = Queue("million", URL)
DONE = 0


@QUEUE.handler
def noop(x: str) -> None:
    global DONE  # noqa: PLW0603
    DONE += 1
    if DONE == JOBS:
        WORKER.stop()


def process() -> float:
    """Jobs a second until JOBS have run."""
    global DONE, WORKER  # noqa: PLW0603
    DONE = 0
    WORKER = Worker(QUEUE)
    began = time.perf_counter()
    asyncio.run(WORKER.serve())
    return JOBS / (time.perf_counter() - began)


def add(jobs: int) -> None:
    QUEUE.add_many("noop", ({"x": PAYLOAD} for _ in range(jobs)))


WORKER = Worker(QUEUE)
CLIENT = redis.Redis.from_url(URL)
CLIENT.flushall()
QUEUE.check()
add(JOBS)
alone = process()
CLIENT.flushall()
before = CLIENT.info("memory")["used_memory"]
add(WAITING)
memory = (CLIENT.info("memory")["used_memory"] - before) / WAITING
among = process()
CLIENT.flushall()
QUEUE.close()
print(json.dumps({"alone": alone, "among": among, "memory": memory}))
