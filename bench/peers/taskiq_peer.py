from __future__ import annotations

import asyncio
import sys

from measure import PAYLOAD, Counter
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

URL, JOBS = sys.argv[1], int(sys.argv[2])
COUNTER = Counter(URL, JOBS)
BROKER = RedisStreamBroker(URL)


@BROKER.task(task_name="noop")
async def noop(x: str) -> None:
    COUNTER.count()


async def add() -> None:
    await BROKER.startup()
    for _ in range(JOBS):
        await noop.kiq(PAYLOAD)


async def main() -> None:
    BROKER.is_worker_process = True
    await BROKER.startup()
    COUNTER.start()
    await run_receiver_task(BROKER)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    COUNTER.added(lambda: loop.run_until_complete(add()))
    loop.run_until_complete(main())
