"""How often a value is computed that 200 callers want at once."""

from __future__ import annotations

import asyncio
import json
import sys

from valkeykit import AsyncCache

COMPUTED = 0


async def compute() -> int:
    global COMPUTED  # noqa: PLW0603
    COMPUTED += 1
    await asyncio.sleep(0.2)
    return 42


async def main() -> None:
    async with AsyncCache(sys.argv[1], max_connections=200, connect_timeout=5, read_timeout=5) as cache:
        await cache.delete("stampede")
        values = await asyncio.gather(*(cache.get_or_compute("stampede", compute, 60) for _ in range(200)))
    assert values == [42] * 200
    print(json.dumps({"computed": COMPUTED}))


asyncio.run(main())
