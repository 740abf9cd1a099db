from __future__ import annotations

import asyncio
import sys
from typing import Any

from measure import PAYLOAD, Counter
from saq import Queue, Worker

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)


async def noop(_: dict[str, Any], *, x: str) -> None:
    COUNTER.count()


async def add() -> None:
    queue = Queue.from_url(URL)
    await queue.connect()
    for _ in range(JOBS):
        await queue.enqueue("noop", x=PAYLOAD, ttl=-1)
    await queue.disconnect()


async def work() -> None:
    await Worker(Queue.from_url(URL), functions=[noop], concurrency=10).start()


if __name__ == "__main__":
    COUNTER.added(lambda: asyncio.run(add()))
    COUNTER.start()
    asyncio.run(work())
