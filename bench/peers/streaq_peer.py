from __future__ import annotations

import asyncio
import sys

from measure import PAYLOAD, Counter
from streaq import Worker

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)
WORKER = Worker(redis_url=URL, concurrency=10, handle_signals=False)


@WORKER.task(silent=True, ttl=0)
async def noop(x: str) -> None:
    COUNTER.count()


async def add() -> None:
    async with WORKER:
        for _ in range(JOBS):
            await noop.enqueue(x=PAYLOAD)


if __name__ == "__main__":
    COUNTER.added(lambda: asyncio.run(add()))
    COUNTER.start()
    asyncio.run(WORKER.run_async())
