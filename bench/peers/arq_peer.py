from __future__ import annotations

import asyncio
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from measure import PAYLOAD, Counter

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)


async def noop(_: dict[str, Any], x: str) -> None:
    COUNTER.count()


async def add() -> None:
    pool = await create_pool(RedisSettings.from_dsn(URL))
    for _ in range(JOBS):
        await pool.enqueue_job("noop", PAYLOAD)
    await pool.aclose()


if __name__ == "__main__":
    COUNTER.added(lambda: asyncio.run(add()))
    asyncio.set_event_loop(asyncio.new_event_loop())
    worker = Worker([noop], redis_settings=RedisSettings.from_dsn(URL), poll_delay=0.01, keep_result=0, max_jobs=50)
    COUNTER.start()
    worker.run()
