from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from docket import Docket, Worker
from measure import PAYLOAD, Counter

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)


async def noop(x: str) -> None:
    COUNTER.count()


async def add() -> None:
    async with Docket(url=URL, execution_ttl=timedelta(0)) as docket:
        for _ in range(JOBS):
            await docket.add(noop)(x=PAYLOAD)


async def work() -> None:
    async with Docket(url=URL, execution_ttl=timedelta(0)) as docket:
        docket.register(noop)
        async with Worker(docket, concurrency=10, minimum_check_interval=timedelta(milliseconds=5)) as worker:
            COUNTER.start()
            await worker.run_forever()


if __name__ == "__main__":
    COUNTER.added(lambda: asyncio.run(add()))
    asyncio.run(work())
