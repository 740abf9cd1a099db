from __future__ import annotations

import sys
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from measure import PAYLOAD, Counter

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)
BROKER = RedisBroker(url=URL)
dramatiq.set_broker(BROKER)


@dramatiq.actor
def noop(x: str) -> None:
    COUNTER.count()


if __name__ == "__main__":
    COUNTER.added(lambda: [noop.send(PAYLOAD) for _ in range(JOBS)] and None)
    COUNTER.start()
    dramatiq.Worker(BROKER, worker_threads=8).start()
    threading.Event().wait()
