"""How long a job waits for an idle worker, and what that worker sends meanwhile."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time

import redis
from valkeykit import Queue, Worker

URL, JOBS = sys.argv[1], int(sys.argv[2])
STARTS: list[float] = []
QUEUE = Queue("latency", URL)


@QUEUE.handler
async def noop(added: float) -> None:
    """Both processes read the machine's one monotonic clock."""
    STARTS.append(time.monotonic() - added)
    if len(STARTS) == JOBS:
        WORKER.stop()


WORKER = Worker(QUEUE)

PRODUCER = """
import sys, time
from valkeykit import Queue
queue = Queue("latency", sys.argv[1])
queue.check()
for _ in range(int(sys.argv[2])):
    time.sleep(0.01)
    queue.add("noop", {"added": time.monotonic()})
queue.close()
"""


def idle_commands(client: redis.Redis, seconds: float) -> float:
    def sent() -> int:
        counts = client.info("commandstats")
        return sum(counts.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "blpop"))

    before = sent()
    time.sleep(seconds)
    return (sent() - before) / seconds


async def main() -> None:
    client = redis.Redis.from_url(URL)
    client.flushall()
    working = asyncio.ensure_future(WORKER.serve())
    await asyncio.sleep(0.5)
    idle = await asyncio.to_thread(idle_commands, client, 6)
    producer = subprocess.Popen([sys.executable, "-c", PRODUCER, URL, str(JOBS)])
    await working
    producer.wait()
    cuts = statistics.quantiles(STARTS, n=100)
    print(json.dumps({"p50": cuts[49] * 1000, "p99": cuts[98] * 1000, "idle": idle}))


asyncio.run(main())
