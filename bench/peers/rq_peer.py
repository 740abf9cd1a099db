from __future__ import annotations

import sys

from measure import PAYLOAD, Counter

URL, JOBS = sys.argv[1], int(sys.argv[2])


def noop(x: str) -> None:
    COUNTER.count()


if __name__ == "__main__":
    sys.modules["rq_jobs"] = sys.modules["__main__"]
    noop.__module__ = "rq_jobs"
    import redis
    from rq import Queue, SimpleWorker

    COUNTER = Counter(URL, JOBS)
    connection = redis.Redis.from_url(URL)
    queue = Queue(connection=connection)
    COUNTER.added(lambda: [queue.enqueue(noop, PAYLOAD, result_ttl=0) for _ in range(JOBS)] and None)
    COUNTER.start()
    SimpleWorker([queue], connection=connection).work(burst=True, logging_level="ERROR")
