"""A worker whose handler holds the interpreter's lock: no other thread of the process runs meanwhile."""

from __future__ import annotations

import ctypes
import os
import time

import redis
from valkeykit import Queue, Worker

queue = Queue("mail", os.environ["WORKER_URL"])


def count(name: str) -> None:
    with redis.Redis.from_url(os.environ["WORKER_URL"]) as client:
        client.hincrby("runs", name, 1)


@queue.handler
def hog(seconds: int) -> None:
    count("hog")
    ctypes.PyDLL(None).sleep(seconds)


@queue.handler
def leave_a_child() -> None:
    """It has a copy of every file of the worker."""
    child = os.fork()
    if child == 0:
        time.sleep(300)
        os._exit(0)
    with redis.Redis.from_url(os.environ["WORKER_URL"]) as client:
        client.set("child", child)


if __name__ == "__main__":
    Worker(queue, concurrency=2, lease=1, shutdown_timeout=5).run()
