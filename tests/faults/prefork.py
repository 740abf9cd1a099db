"""A server that loads its application and then forks repeatedly: python -m tests.faults.prefork RESTARTS FILE

Each child has several threads whose first requests arrive at once. The ids of added jobs go to FILE.
USED=1: the parent has used the queue before. ADDING=1: a thread of the parent adds jobs meanwhile.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from pathlib import Path

from valkeykit import Queue

CHILDREN = 4
THREADS = 4
ENDS_WITHIN = 120
"""Seconds after which a child that hangs prints where, and fails."""


def add(queue: Queue) -> None:
    job = queue.add("work", {"seconds": 0}, attempts=100)
    with Path(sys.argv[2]).open("ab", buffering=0) as file:
        file.write(f"{job.id}\n".encode())


def serve(queue: Queue) -> None:
    """A child: all threads add at once."""
    faulthandler.dump_traceback_later(ENDS_WITHIN, exit=True)
    barrier = threading.Barrier(THREADS)
    failures = []

    def request() -> None:
        barrier.wait()
        try:
            add(queue)
            add(queue)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=request) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        print(repr(failure), file=sys.stderr, flush=True)
    os._exit(1 if failures else 0)


def restart() -> int:
    """Load the application, fork and wait; returns how many children failed."""
    queue = Queue("faults", os.environ["WORKER_URL"], retry_for=20)
    if os.environ.get("USED"):
        add(queue)
    ended = threading.Event()

    def add_meanwhile() -> None:
        while not ended.is_set():
            add(queue)

    adding = threading.Thread(target=add_meanwhile)
    if os.environ.get("ADDING"):
        adding.start()
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if not child:
            serve(queue)
        children.append(child)
    failures = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    ended.set()
    if adding.ident is not None:
        adding.join()
    queue.close()
    return failures


if __name__ == "__main__":
    sys.exit(sum(restart() for _ in range(int(sys.argv[1]))) > 0)
