from __future__ import annotations

import sys

from celery import Celery
from measure import PAYLOAD, Counter

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)
APP = Celery("bench", broker=URL)
APP.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=100)


@APP.task(name="noop")
def noop(x: str) -> None:
    COUNTER.count()


if __name__ == "__main__":
    COUNTER.added(lambda: [noop.delay(PAYLOAD) for _ in range(JOBS)] and None)
    COUNTER.start()
    APP.worker_main(
        ["worker", "-P", "solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    )
